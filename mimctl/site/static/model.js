"use strict";
// One model: what to type, what was published of it, where it comes from.

(() => {
  const at = (id) => document.getElementById(id);

  function link(text, url) {
    return /^https?:/.test(url ?? "") ? make("a", { href: url, rel: "noreferrer" }, text) : make("span", {}, text);
  }

  function commands(toolbox, model) {
    const file = (model.weights?.file ?? model.weights?.url ?? "").split("/").pop();
    const config = `${(model.config ?? model.config_file ?? model.name).split("/").pop().replace(/[.]\w+$/, "")}.py`;
    const fetch = `mimctl download ${toolbox} ${quoted(model.name)} --dest .`;
    if (!file) return [];
    const lines = [fetch];
    if (!model.buildable) return lines;
    return [
      ...lines,
      `mimctl test ${toolbox} ${quoted(config)} -C ${quoted(file)}`,
      `mimctl infer ${toolbox} ${quoted(file)} picture.jpg`,
      `mimctl train ${toolbox} ${quoted(config)} --data my_photos`,
      `mimctl zoo verify ${toolbox} ${quoted(model.name)}`,
    ];
  }

  function check(weights) {
    if (weights.sha256) return `sha256 ${weights.sha256}`;
    if (weights.sha8) return `sha256 begins with ${weights.sha8} (a 32-bit check only; the whole hash is kept at first use)`;
    return "no hash was published: its bytes cannot be checked";
  }

  function facts(model, family) {
    const rows = [["Family", model.collection], ["Other names", (model.aliases ?? []).join(", ")], ["Config", model.config ?? model.config_file], ["Published by", model.config_source]];
    for (const [name, value] of Object.entries(model.metadata ?? {})) {
      const number = typeof value === "number" || typeof value === "string" ? numberOf(value) : null;
      rows.push([name, number == null ? [value].flat().join(", ") : shown(number)]);
    }
    const made = rows.filter(([, value]) => value).map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(value))));
    if (family?.paper) made.push(make("tr", {}, make("th", { scope: "row" }, "Paper"), make("td", {}, link(family.title ?? family.paper, family.paper))));
    if (model.weights) {
      const url = model.weights.url ?? model.weights.file;
      made.push(make("tr", {}, make("th", { scope: "row" }, "Weights"), make("td", {}, link(url, model.weights.url), make("br"), make("small", {}, check(model.weights)))));
    }
    return made;
  }

  async function show() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const toolbox = asked.get("toolbox") ?? "";
    try {
      if (!Object.hasOwn(window.mimctlIndex.models, toolbox)) throw new Error("this index has no such toolbox");
      const zoo = await loadZoo(toolbox);
      const model = zoo.models.filter((each) => each.name === asked.get("model"))[Number(asked.get("number") ?? 0)];
      if (!model) throw new Error("this index has no such model");
      document.title = tame(`${model.name} · ${toolbox}`);
      fill(at("name"), model.name);
      at("back").href = `zoo.html#${new URLSearchParams({ toolbox })}`;
      const lines = commands(toolbox, model);
      at("about").textContent = model.buildable
        ? "mimctl trains, tests and runs this model."
        : lines.length
          ? "mimctl cannot run this model yet: its config and weights can be downloaded."
          : "No weights of this model are published.";
      at("commands").hidden = !lines.length;
      if (lines.length) showCommands(at("commands"), lines);
      const results = (model.results ?? []).flatMap((each) => Object.entries(each.metrics ?? {}).map(([name, value]) =>
        make("tr", {}, make("td", {}, each.task ?? ""), make("td", {}, each.dataset ?? ""), make("td", {}, name), make("td", { class: "number" }, shown(numberOf(value)) || String(value)))));
      at("published").hidden = !results.length;
      fill(at("results"), ...results);
      fill(at("facts"), ...facts(model, zoo.collections?.[model.collection]));
      at("known").hidden = false;
    } catch (error) {
      at("name").textContent = "Not found";
      at("about").textContent = error.message;
      for (const id of ["commands", "published", "known"]) at(id).hidden = true;
    }
  }

  window.addEventListener("hashchange", show);
  show();
})();
