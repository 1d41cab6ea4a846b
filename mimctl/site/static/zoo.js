"use strict";
// The models of a toolbox: filtered, in order, and as points of a figure against its cost.

(() => {
  const CLASSES = { family: "spare", metric: "number", cost: "number" };
  const COSTS = ["Parameters", "FLOPs", "Epochs", "Batch Size", "Training Memory (GB)"];
  const at = (id) => document.getElementById(id);
  const controls = ["toolbox", "text", "dataset", "metric", "cost", "built"];
  let zoo = null;
  let order = { column: "metric", falling: true };

  const readHash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const valueOf = (id) => (at(id).type === "checkbox" ? (at(id).checked ? "yes" : "") : at(id).value);

  function writeHash() {
    const kept = [...controls.map((id) => [id, valueOf(id)]), ["sort", `${order.falling ? "-" : ""}${order.column}`]].filter(([, value]) => value);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  }

  /** Return {metric: number} of a model on the chosen data set (all of them where none is chosen). */
  function figures(model, dataset) {
    const found = {};
    for (const result of model.results ?? []) {
      if (dataset && result.dataset !== dataset) continue;
      for (const [name, value] of Object.entries(result.metrics ?? {})) {
        const number = numberOf(value);
        if (number != null && !(name in found)) found[name] = number;
      }
    }
    return found;
  }

  function counted(words) {
    const counts = new Map();
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  }

  function options(select, pairs, first, wanted) {
    const made = pairs.map(([word, count]) => make("option", { value: word }, count ? `${word} (${count})` : word));
    fill(select, ...(first == null ? [] : [make("option", { value: "" }, first)]), ...made);
    if (wanted && pairs.some(([word]) => word === wanted)) select.value = wanted;
  }

  async function load(wanted = {}) {
    at("note").textContent = "";
    try {
      zoo = await loadZoo(at("toolbox").value);
    } catch (error) {
      at("note").textContent = error.message;
      return;
    }
    const sets = zoo.models.flatMap((model) => [...new Set((model.results ?? []).map((each) => each.dataset).filter(Boolean))]);
    options(at("dataset"), counted(sets), "all", wanted.dataset);
    metrics(wanted.metric);
    const costs = COSTS.filter((name) => zoo.models.some((model) => numberOf(model.metadata?.[name]) != null));
    options(at("cost"), costs.map((name) => [name, 0]), costs.length ? null : "none is published", wanted.cost);
    at("text").value = wanted.text ?? "";
    at("built").checked = wanted.built === "yes";
    const [, falling, column] = /^(-?)(name|family|metric|cost)$/.exec(wanted.sort) ?? [null, "-", "metric"];
    order = { column, falling: Boolean(falling) };
    draw();
  }

  function metrics(wanted) {
    const names = zoo.models.flatMap((model) => Object.keys(figures(model, at("dataset").value)));
    options(at("metric"), counted(names), null, wanted);
  }

  function rows() {
    const words = at("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [dataset, metric, cost] = [at("dataset").value, at("metric").value, at("cost").value];
    const seen = new Map();
    const found = zoo.models.map((model) => {
      const number = seen.get(model.name) ?? 0;
      seen.set(model.name, number + 1);
      const own = figures(model, dataset);
      return {
        model, number, name: model.name, family: model.collection ?? "",
        metric: own[metric] ?? null, cost: numberOf(model.metadata?.[cost]),
        sets: [...new Set((model.results ?? []).map((each) => each.dataset).filter(Boolean))], isMeasured: Object.keys(own).length > 0,
      };
    });
    const kept = found.filter((row) => {
      const text = [row.name, row.family, row.model.config, ...(row.model.aliases ?? []), ...row.sets].join(" ").toLowerCase();
      return words.every((word) => text.includes(word)) && (!dataset || row.isMeasured) && (!at("built").checked || row.model.buildable);
    });
    const sign = order.falling ? -1 : 1;
    return kept.sort((a, b) => {
      const [left, right] = [a[order.column], b[order.column]];
      if (left == null || right == null) return (left == null) - (right == null);
      return sign * (typeof left === "number" ? left - right : left < right ? -1 : left > right ? 1 : 0);
    });
  }

  function draw() {
    const found = rows();
    const heads = { name: "Model", family: "Family", metric: at("metric").value || "Figure", cost: at("cost").value || "Cost" };
    const cells = Object.entries(heads).map(([column, title]) => {
      const isOrder = order.column === column;
      const button = make("button", { type: "button", "data-column": column }, title);
      const sort = isOrder ? (order.falling ? "descending" : "ascending") : "none";
      return make("th", { scope: "col", "aria-sort": sort, class: CLASSES[column] }, button);
    });
    fill(at("head"), make("tr", {}, ...cells, make("th", { scope: "col", class: "spare" }, "Data"), make("th", { scope: "col" }, "Runs here")));
    fill(at("body"), ...found.map((row) => make("tr", {},
      make("td", {}, make("a", { href: modelPage(at("toolbox").value, row.name, row.number) }, row.name)),
      make("td", { class: CLASSES.family }, row.family),
      make("td", { class: CLASSES.metric }, shown(row.metric)),
      make("td", { class: CLASSES.cost }, shown(row.cost)),
      make("td", { class: "spare" }, row.sets.join(", ")),
      make("td", { class: "short" }, row.model.buildable ? make("span", { class: "yes" }, "yes") : "not yet"))));
    at("count").textContent = found.length ? `${found.length} of ${zoo.models.length} models` : `None of ${zoo.models.length} models fits.`;
    plot(found);
    writeHash();
  }

  const SPACE = "http://www.w3.org/2000/svg";
  function shape(name, attributes, ...children) {
    const element = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, tame(value));
    element.append(...tamed(children));
    return element;
  }

  /** Round numbers between two, about five. */
  function ticks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) found.push(Number((at * step).toPrecision(12)));
    return found;
  }

  /** Logarithms of 1, 3 and 10 times powers of ten between two logarithms. */
  function decades(low, high) {
    const found = [];
    for (let power = Math.floor(low); power <= high; power += 1) found.push(power, power + Math.log10(3));
    const inside = found.filter((each) => each >= low && each <= high);
    return inside.length > 1 ? inside : [low, high];
  }

  function plot(found) {
    const points = found.filter((row) => row.metric != null && row.cost != null && row.cost > 0);
    const place = at("plot");
    place.hidden = points.length < 2;
    if (place.hidden) return fill(place);
    // As wide as the page has room: letters keep their size on a telephone.
    const [width, height, left, bottom] = [Math.max(place.clientWidth, 280), 320, 60, 40];
    points.sort((a, b) => Boolean(a.model.buildable) - Boolean(b.model.buildable)); // the last ones lie on top
    const xs = points.map((row) => Math.log10(row.cost));
    const ys = points.map((row) => row.metric);
    const span = (values) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const margin = (high - low || Math.abs(high) || 1) * 0.06;
      return [low - margin, high + margin];
    };
    const [[x0, x1], [y0, y1]] = [span(xs), span(ys)];
    const toX = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - 15);
    const toY = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - bottom - 15);
    const title = `${at("metric").value} against ${at("cost").value} of ${points.length} models`;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}; the table holds the same figures` });
    for (const y of ticks(y0, y1)) {
      svg.append(
        shape("line", { x1: left, x2: width - 15, y1: toY(y), y2: toY(y) }),
        shape("text", { x: left - 6, y: toY(y) + 4, "text-anchor": "end" }, shown(y)),
      );
    }
    let end = -Infinity;
    for (const x of decades(x0, x1)) {
      if (toX(x) < end + 40) continue; // no room beside the one before
      end = toX(x);
      svg.append(shape("text", { x: end, y: height - bottom + 18, "text-anchor": "middle" }, shown(10 ** x)));
    }
    svg.append(
      shape("text", { x: width - 15, y: height - 6, "text-anchor": "end" }, `${at("cost").value}; ringed: runs here`),
      shape("text", { x: left + 6, y: 14 }, `${at("metric").value}, ${at("dataset").value || "all data sets"}`),
    );
    for (const row of points) {
      const circle = shape("circle", { cx: toX(Math.log10(row.cost)), cy: toY(row.metric), r: 5, class: row.model.buildable ? "built" : "" },
        shape("title", {}, `${row.name}: ${shown(row.metric)}, ${at("cost").value} ${shown(row.cost)}`));
      // The table is the keyboard's way to the same pages: five hundred stops would lie before it.
      svg.append(shape("a", { href: modelPage(at("toolbox").value, row.name, row.number), tabindex: "-1" }, circle));
    }
    fill(place, svg);
  }

  const wanted = readHash();
  const names = Object.entries(window.mimctlIndex.models);
  options(at("toolbox"), names, null, wanted.toolbox);
  at("choice").hidden = !names.length;
  if (!names.length) at("note").textContent = "This index holds no models.";
  else load(wanted);
  at("toolbox").addEventListener("change", () => load());
  at("dataset").addEventListener("change", () => { metrics(at("metric").value); draw(); });
  for (const id of ["metric", "cost", "built"]) at(id).addEventListener("change", draw);
  at("text").addEventListener("input", draw);
  addEventListener("resize", () => { if (zoo) plot(rows()); });
  at("head").addEventListener("click", (event) => {
    const column = event.target.dataset?.column;
    if (!column) return;
    order = { column, falling: order.column === column ? !order.falling : column === "metric" };
    draw();
    at("head").querySelector(`[data-column="${column}"]`).focus();
  });
})();
