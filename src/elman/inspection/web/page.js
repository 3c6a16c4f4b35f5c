// Colours the steps of a sequence by any unit that was kept.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("unit-data").textContent);
  const box = document.getElementById("unit-steps");
  if (!data || !box) return;
  const [part, sequence, unit] = ["part", "sequence", "unit"].map((name) => document.getElementById("unit-" + name));
  const told = document.getElementById("unit-told");
  const decoded = data.parts.map(({ values }) => Int8Array.from(atob(values), (c) => c.charCodeAt(0)));
  let spans = [];

  function layOut() {
    const { names, start, length } = data.sequences[sequence.value];
    spans = Array.from({ length }, (_, t) => {
      const span = document.createElement("span");
      const name = names ? names[t] : String(t);
      span.textContent = name === "\n" ? "⏎\n" : name;
      return span;
    });
    box.replaceChildren(...spans);
    colour(start);
  }

  function colour() {
    const { units, scales } = data.parts[part.value];
    const { start, length } = data.sequences[sequence.value];
    const wanted = Number(unit.value);
    // Where not all units were kept, the nearest that was.
    let row = units.indexOf(wanted);
    if (row < 0) row = units.reduce((best, u, k) => (Math.abs(u - wanted) < Math.abs(units[best] - wanted) ? k : best), 0);
    unit.value = units[row];
    const values = decoded[part.value].subarray(row * data.steps + start, row * data.steps + start + length);
    spans.forEach((span, t) => {
      const share = values[t] / 127;
      const strength = Math.pow(Math.abs(share), 0.8) * 0.85;
      span.style.background = `rgb(var(${share < 0 ? "--against" : "--for"}) / ${strength.toFixed(3)})`;
      span.title = `step ${t}: ${(share * scales[row]).toPrecision(3)}`;
    });
    told.textContent = `unit ${units[row]} of ${data.parts[part.value].name}, from −${scales[row]} to ${scales[row]}`;
  }

  function choosePart() {
    const { units } = data.parts[part.value];
    unit.min = units[0];
    unit.max = units[units.length - 1];
    colour();
  }

  function move(by) {
    const { units } = data.parts[part.value];
    const row = units.indexOf(Number(unit.value)) + by;
    unit.value = units[(row + units.length) % units.length];
    colour();
  }

  part.addEventListener("change", choosePart);
  sequence.addEventListener("change", layOut);
  unit.addEventListener("change", colour);
  document.getElementById("unit-before").addEventListener("click", () => move(-1));
  document.getElementById("unit-next").addEventListener("click", () => move(1));
  document.querySelectorAll("button.pick").forEach((button) =>
    button.addEventListener("click", () => {
      part.value = button.dataset.part;
      unit.value = button.dataset.unit;
      choosePart();
      box.scrollIntoView({ block: "nearest" });
    }),
  );
  [part.value, unit.value] = [data.first.part, data.first.unit];
  layOut();
  choosePart();
})();
