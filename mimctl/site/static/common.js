"use strict";
// Shared by the pages of an index. Text of others only ever becomes text: nothing is parsed as HTML.

/** Text of others as it may be shown: no control characters, nothing that turns the direction of what follows. */
function tame(text) {
  return String(text).replace(/[\p{Bidi_Control}\u2028\u2029]|(?![\n\t])\p{Cc}/gu, "\ufffd");
}

const tamed = (children) => children.filter((child) => child != null).map((child) => (typeof child === "string" ? tame(child) : child));

/** Make an element: `make("td", {class: "number"}, "text", child, …)`. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) element.setAttribute(key, tame(value));
  element.append(...tamed(children));
  return element;
}

/** Replace what an element holds. */
function fill(element, ...children) {
  element.replaceChildren(...tamed(children));
}

/** The address of this index, as mimctl and pip take it. */
function address() {
  return new URL(".", location.href).href.replace(/[/]$/, "");
}

/** A word as a POSIX shell takes it. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Show lines to type, with a button that copies them. */
function showCommands(place, lines) {
  const text = lines.join("\n");
  const copy = make("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(place.querySelector("code")); // the browser lets nothing write the clipboard
      copy.textContent = "Selected";
    }
  });
  fill(place, make("pre", {}, make("code", {}, text)), copy);
}

/** A published number, also of texts such as `24.33M` or `81%`; null for anything else. */
function numberOf(value) {
  if (typeof value === "number") return value;
  const found = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kmgbt]?|%)\s*$/i.exec(typeof value === "string" ? value : "");
  const factors = { "": 1, "%": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 };
  return found ? Number(found[1]) * factors[found[2].toLowerCase()] : null;
}

/** A number as people read it: 24.3M, 44.5. */
function shown(number) {
  if (number == null) return "";
  for (const [factor, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (Math.abs(number) >= factor) return `${Number((number / (letter === "k" ? 1e3 : factor)).toPrecision(3))}${letter}`;
  }
  return String(Number(number.toPrecision(5)));
}

/** Load the models of a toolbox; pages of files may not fetch, so the data are scripts. */
function loadZoo(toolbox) {
  window.mimctlZoo ??= {};
  if (window.mimctlZoo[toolbox]) return Promise.resolve(window.mimctlZoo[toolbox]);
  return new Promise((resolve, reject) => {
    const script = make("script", { src: `page/data/zoo-${encodeURIComponent(toolbox)}.js` });
    script.addEventListener("load", () => resolve(window.mimctlZoo[toolbox]));
    script.addEventListener("error", () => reject(new Error(`this index has no models of ${toolbox}`)));
    document.head.append(script);
  });
}

/** The address of a model's page. */
function modelPage(toolbox, name, number) {
  const hash = new URLSearchParams({ toolbox, model: name, ...(number ? { number } : {}) });
  return `model.html#${hash}`;
}
