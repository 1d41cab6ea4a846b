"use strict";
// The start page: from a system, a toolbox and a torch to the lines to type.

(() => {
  const index = window.mimctlIndex;
  const SYSTEMS = {
    "Linux x86_64": /manylinux.*x86_64/,
    "Linux aarch64": /manylinux.*aarch64/,
    macOS: /macosx/,
    "Windows (WSL)": /manylinux.*x86_64/,
  };
  const TORCH = {
    "installed already": [],
    "none yet: found by itself": ["--torch", "auto"],
    "none yet: CPU": ["--torch", "cpu"],
    "none yet: CUDA 13": ["--torch", "cu130"],
  };
  const BACKENDS = { "found by itself": null, "pure PyTorch": "python", CPU: "cpu", "CUDA 12": "cu12", "CUDA 13": "cu13", ROCm: "rocm" };
  const form = document.getElementById("choose");
  const ops = index.files.filter((file) => file.build && file.yanked == null);

  function choices(name, legend, words) {
    const labels = words.map((word, position) =>
      make("label", {}, make("input", { type: "radio", name, value: word, ...(position ? {} : { checked: "" }) }), ` ${word}`));
    return make("fieldset", {}, make("legend", {}, legend), make("div", { class: "choices" }, ...labels));
  }

  /** Let what cannot be chosen not be chosen; the first of its row takes its place. */
  function allow(name, isThere) {
    const inputs = [...form.querySelectorAll(`input[name="${name}"]`)];
    for (const input of inputs) {
      input.disabled = !isThere(input.value);
      if (input.disabled && input.checked) inputs[0].checked = true;
    }
    return inputs.find((input) => input.checked).value;
  }

  function wordsOf(backend, built, system) {
    if (backend) return `Operators: the build for ${backend}.`;
    if (built.length) return `Operators: of the builds for ${built.join(" and ")}, the one that fits the machine.`;
    return ops.length ? `Operators: the pure PyTorch ones, as no compiled build is for ${system}.` : "";
  }

  function update() {
    const chosen = Object.fromEntries(new FormData(form));
    const there = ops.filter((file) => file.tags.some((tag) => SYSTEMS[chosen.system].test(tag)));
    const built = [...new Set(there.map((file) => file.build.backend))];
    const isPure = ops.some((file) => file.build.backend === "python");
    const backend = BACKENDS[allow("backend", (word) => [null, ...built, ...(isPure ? ["python"] : [])].includes(BACKENDS[word]))];
    const torch = TORCH[allow("torch", (word) => chosen.system !== "macOS" || !["cpu", "cu130"].includes(TORCH[word][1]))];
    const install = ["mimctl", "install", chosen.toolbox, ...torch, ...(backend ? ["--variant", backend] : [])];
    show(install.map(quoted).join(" "));
    const where = chosen.system.startsWith("Windows") ? " Type these lines inside WSL." : "";
    document.getElementById("operators").textContent = wordsOf(backend, built, chosen.system) + where;
  }

  function show(line) {
    showCommands(document.getElementById("commands"), [
      ...(index.mimctl ? [`pip install ${quoted(`${address()}/${index.mimctl}`)}`] : []),
      `mimctl settings set index ${quoted(address())}`,
      ...(line ? [line] : []),
    ]);
  }

  if (!index.toolboxes.length) {
    const [first] = Object.keys(index.models);
    show(first ? `mimctl search ${quoted(first)}` : "");
    return;
  }
  form.append(
    choices("toolbox", "Toolbox", index.toolboxes),
    choices("system", "System", Object.keys(SYSTEMS)),
    choices("torch", "PyTorch", Object.keys(TORCH)),
    choices("backend", "Operators", Object.keys(BACKENDS)),
  );
  form.addEventListener("change", update);
  update();
})();
