"use strict";
// The start page: from a system, a toolbox and a torch to the lines to type.

(() => {
  const index = window.mimctlIndex;
  const SYSTEMS = {
    "Linux x86_64": /manylinux.*x86_64/,
    "Linux aarch64": /manylinux.*aarch64/,
    macOS: /macosx/,
    Windows: /win_amd64/,
  };
  const TORCH = {
    "the one that is there": [],
    "none yet, GPU": ["--torch", "auto"],
    "none yet, CPU": ["--torch", "cpu"],
    "none yet, CUDA 13": ["--torch", "cu130"],
  };
  const BACKENDS = { "found by itself": null, "pure PyTorch": "python", CPU: "cpu", "CUDA 12": "cu12", "CUDA 13": "cu13", ROCm: "rocm" };
  const form = document.getElementById("choose");
  const ops = index.files.filter((file) => file.build && file.yanked == null);

  function choices(name, legend, words) {
    const labels = words.map((word, position) =>
      make("label", {}, make("input", { type: "radio", name, value: word, ...(position ? {} : { checked: "" }) }), ` ${word}`));
    return make("fieldset", {}, make("legend", {}, legend), ...labels);
  }

  function wheelsFor(system) {
    return ops.filter((file) => file.tags.some((tag) => SYSTEMS[system].test(tag)));
  }

  function update() {
    const chosen = Object.fromEntries(new FormData(form));
    const there = wheelsFor(chosen.system);
    for (const input of form.querySelectorAll('input[name="backend"]')) {
      const backend = BACKENDS[input.value];
      const isBuilt = backend === null || ops.some((file) => file.build.backend === backend && (backend === "python" || there.includes(file)));
      input.disabled = !isBuilt;
      if (!isBuilt && input.checked) form.querySelector('input[name="backend"]').checked = true;
    }
    const backend = BACKENDS[new FormData(form).get("backend")];
    const isMac = chosen.system === "macOS";
    const torch = isMac && chosen.torch !== "the one that is there" ? ["--torch", "auto"] : TORCH[chosen.torch];
    const install = ["mimctl", "install", chosen.toolbox, ...torch, ...(backend ? ["--variant", backend] : [])];
    showCommands(document.getElementById("commands"), [
      `pip install --extra-index-url ${quoted(`${address()}/simple`)} mimctl`,
      `mimctl settings set index ${quoted(address())}`,
      install.map(quoted).join(" "),
    ]);
    const built = there.map((file) => file.build.backend);
    const words = backend
      ? `operators: the build for ${backend}`
      : built.length
        ? `operators: the build that fits, of ${[...new Set(built)].join(", ")}`
        : "operators: the pure PyTorch ones, as no compiled build is for this system";
    document.getElementById("operators").textContent = words;
  }

  form.append(
    choices("toolbox", "Toolbox", Object.keys(index.toolboxes)),
    choices("system", "System", Object.keys(SYSTEMS)),
    choices("torch", "PyTorch", Object.keys(TORCH)),
    choices("backend", "Operators", Object.keys(BACKENDS)),
  );
  form.addEventListener("change", update);
  update();
})();
