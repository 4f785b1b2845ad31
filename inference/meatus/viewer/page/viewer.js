"use strict";

// Everything is asked for below this page's own address, which holds the token.
const COLOURS = {R: [0, 255, 80, 80], G: [0, 80, 224, 160], B: [0, 80, 96, 255], A: [0, 255, 255, 255],
  labels: ["", "extra-meatal VS", "intra-meatal VS", "cochlea"]};
const LOOK_EVERY_MS = 1000;
const MOST_FLAGS = 2; // in the queue; all of them stand above the picture

const element = (id) => document.getElementById(id);
const view = {open: null, saved: null, mode: "move", label: 1, busy: 0, cases: [], uploads: new Map()};

const nv = new niivue.Niivue({
  backColor: [0, 0, 0, 1], show3Dcrosshair: true, dragAndDropEnabled: false, isColorbar: false,
  loadingText: "Choose a case, or drop a scan", isResizeCanvas: true, crosshairWidth: 0.6,
  isRadiologicalConvention: true, multiplanarShowRender: 1, logLevel: "silent",
});

// --- what the server says -------------------------------------------------------------------

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let why = `${answer.status} ${answer.statusText}`;
  try { why = (await answer.json()).error || why; } catch { /* no reason was given */ }
  throw new Error(why);
}

const about = (path, name) => `${path}?case=${encodeURIComponent(name)}`;

async function refresh() {
  const told = await (await ask("api/cases")).json();
  view.cases = told.cases;
  element("version").textContent = told.version;
  showQueue();
  showIncoming(told.incoming);
}

// --- the queue ------------------------------------------------------------------------------

function line(text, kind) {
  const span = document.createElement("span");
  span.textContent = text;
  span.className = kind;
  return span;
}

function linesOf(entry) {
  const lines = [];
  if (entry.corrected) {
    const when = new Date(entry.corrected.corrected_at).toLocaleString();
    lines.push(line(`corrected by ${entry.corrected.corrected_by}, ${when}`, "done"));
  }
  if (entry.error) lines.push(line(entry.error, "failed"));
  for (const flag of entry.flags.slice(0, MOST_FLAGS)) lines.push(line(flag, "flagged"));
  const more = entry.flags.length - MOST_FLAGS;
  if (more > 0) lines.push(line(`and ${more} more`, "flagged"));
  return lines;
}

function showQueue() {
  const list = element("cases");
  const top = list.scrollTop;
  list.replaceChildren(...view.cases.map((entry) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const name = document.createElement("strong");
    name.textContent = entry.case;
    button.type = "button";
    button.setAttribute("aria-current", String(entry.case === view.open));
    button.append(name, ...linesOf(entry));
    button.addEventListener("click", () => open(entry.case));
    item.append(button);
    return item;
  }));
  list.scrollTop = top;
  const left = view.cases.filter((entry) => !entry.corrected && (entry.flags.length || entry.error));
  element("count").textContent = `${view.cases.length}, ${left.length} to look at`;
}

// --- one case -------------------------------------------------------------------------------

function say(text, kind) {
  element("message").textContent = text;
  element("message").className = kind || "";
}

const changed = () => view.open !== null && nv.drawBitmap !== null && view.saved !== null &&
  !same(nv.drawBitmap, view.saved);

function same(one, other) {
  if (one.length !== other.length) return false;
  for (let k = 0; k < one.length; k++) if (one[k] !== other[k]) return false;
  return true;
}

async function open(name) {
  if (changed() && !window.confirm(`Leave ${view.open} without saving what you painted?`)) return;
  const turn = ++view.busy;
  view.open = null;
  element("save").disabled = true;
  say(`opening ${name} …`);
  try {
    const [scan, labels] = await Promise.all(
      ["api/scan.nii", "api/labels"].map(async (path) => (await ask(about(path, name))).arrayBuffer()));
    if (turn !== view.busy) return; // another one was chosen meanwhile
    nv.closeDrawing();
    for (const volume of [...nv.volumes]) nv.removeVolume(volume);
    await nv.loadFromArrayBuffer(scan, "scan.nii");
    if (turn !== view.busy) return;
    nv.createEmptyDrawing();
    paint(new Uint8Array(labels));
    nv.drawClearAllUndoBitmaps();
    nv.drawAddUndoBitmap();
    view.saved = nv.drawBitmap.slice();
    view.open = name;
    goToLabels();
    setMode(view.mode);
    describe();
    say("");
  } catch (error) {
    if (turn === view.busy) say(`${name}: ${error.message}`, "bad");
  }
  showQueue();
  element("save").disabled = view.open === null;
}

function paint(labels) {
  if (labels.length !== nv.drawBitmap.length) throw new Error("labels and scan have different sizes");
  nv.drawBitmap.set(labels);
  nv.refreshDrawing(true);
}

// The crosshair to the middle of the tumour, else of the cochleae.
function goToLabels() {
  const middle = middleOf((label) => label === 1 || label === 2) || middleOf((label) => label === 3);
  if (middle) nv.scene.crosshairPos = nv.vox2frac(middle);
  nv.updateGLVolume();
}

function middleOf(wanted) {
  const [columns, rows] = nv.back.dimsRAS.slice(1, 3);
  const sums = [0, 0, 0];
  let count = 0;
  nv.drawBitmap.forEach((label, k) => {
    if (!wanted(label)) return;
    count++;
    sums[0] += k % columns;
    sums[1] += Math.floor(k / columns) % rows;
    sums[2] += Math.floor(k / (columns * rows));
  });
  return count ? sums.map((sum) => Math.round(sum / count)) : null;
}

// NiiVue's millimetres run to the patient's right, front and top.
function wordsOf([x, y, z]) {
  const words = [[x, "right", "left"], [y, "front", "back"], [z, "up", "down"]];
  return words.map(([mm, plus, minus]) => `${mm < 0 ? minus : plus} ${Math.abs(mm).toFixed(1)}`)
    .join(", ") + " mm";
}

function describe() {
  const entry = view.cases.find((one) => one.case === view.open);
  element("name").textContent = view.open || "No case is open";
  element("flags").textContent = entry ? [entry.error, ...entry.flags].filter(Boolean).join("; ") : "";
}

async function save() {
  if (view.open === null) return;
  const name = view.open;
  const painted = nv.drawBitmap.slice();
  element("save").disabled = true;
  say(`saving ${name} …`);
  try {
    const told = await (await ask(about("api/labels", name), {method: "POST", body: painted})).json();
    if (view.open === name) view.saved = painted;
    await refresh();
    say(`saved: ${told.corrected.voxels_changed} voxels differ from the program's`, "good");
  } catch (error) {
    say(`${name} is not saved: ${error.message}`, "bad");
  }
  element("save").disabled = view.open === null;
}

// --- tools ----------------------------------------------------------------------------------

function press(group, name, value) {
  for (const button of element(group).querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset[name] === String(value)));
  }
}

function setMode(mode) {
  view.mode = mode;
  press("modes", "mode", mode);
  if (nv.drawBitmap === null) return;
  const draws = mode !== "move";
  if (draws) nv.setPenValue(mode === "eraser" ? 0 : view.label, element("fill").checked);
  nv.opts.penSize = Number(element("size").value);
  nv.setDrawingEnabled(draws);
}

function setLabel(label) {
  view.label = label;
  press("structures", "label", label);
  setMode(view.mode === "move" ? "brush" : view.mode === "eraser" ? "brush" : view.mode);
}

function listen() {
  for (const button of element("modes").querySelectorAll("button")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  }
  for (const button of element("structures").querySelectorAll("button")) {
    button.addEventListener("click", () => setLabel(Number(button.dataset.label)));
  }
  element("size").addEventListener("input", () => setMode(view.mode));
  element("fill").addEventListener("change", () => setMode(view.mode));
  element("opacity").addEventListener("input", (event) => nv.setDrawOpacity(Number(event.target.value)));
  element("undo").addEventListener("click", () => nv.drawUndo());
  element("save").addEventListener("click", save);
  window.addEventListener("keydown", onKey);
  window.addEventListener("beforeunload", (event) => { if (changed()) event.preventDefault(); });
}

function onKey(event) {
  const command = event.ctrlKey || event.metaKey;
  const keys = {m: () => setMode("move"), b: () => setMode("brush"), e: () => setMode("eraser"),
    1: () => setLabel(1), 2: () => setLabel(2), 3: () => setLabel(3)};
  const commands = {z: () => nv.drawUndo(), s: save};
  const chosen = (command ? commands : keys)[event.key];
  if (!chosen || event.altKey) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  chosen();
}

// --- scans that are dropped -----------------------------------------------------------------

function showIncoming(told) {
  const items = [...view.uploads.values(), ...told.map((one) => ({
    text: `${one.file}: ${one.state}${one.error ? `: ${one.error}` : ""}, ${one.seconds.toFixed(0)} s`,
    at: one.state === "done" || one.state === "failed" ? null : undefined,
    kind: one.state === "failed" ? "failed" : one.state === "done" ? "done" : "",
  }))];
  element("incoming").replaceChildren(...items.map((one) => {
    const item = document.createElement("li");
    item.append(line(one.text, one.kind));
    if (one.at === null) return item;
    const bar = document.createElement("progress");
    if (one.at !== undefined) { bar.max = 1; bar.value = one.at; }
    item.append(bar);
    return item;
  }));
}

function send(file) {
  const told = {text: `${file.name}: 0 %`, at: 0, kind: ""};
  view.uploads.set(file.name, told);
  const request = new XMLHttpRequest(); // fetch does not tell how far it is
  request.open("POST", `api/scans?name=${encodeURIComponent(file.name)}`);
  request.upload.addEventListener("progress", (event) => {
    told.at = event.loaded / event.total;
    told.text = `${file.name}: ${Math.round(100 * told.at)} % sent`;
  });
  request.addEventListener("loadend", () => {
    if (request.status === 200) { view.uploads.delete(file.name); return; }
    let why = "it could not be sent";
    try { why = JSON.parse(request.responseText).error; } catch { /* no reason was given */ }
    view.uploads.set(file.name, {text: `${file.name}: ${why}`, at: null, kind: "failed"});
  });
  request.send(file);
}

function listenForScans() {
  let depth = 0;
  const covered = (shown) => { element("drop").hidden = !shown; };
  window.addEventListener("dragenter", (event) => { event.preventDefault(); depth++; covered(true); });
  window.addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); covered(depth > 0); });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    covered(false);
    for (const file of event.dataTransfer.files) send(file);
  });
}

async function watch() {
  let before = 0;
  for (;;) {
    await new Promise((next) => setTimeout(next, LOOK_EVERY_MS));
    try {
      const told = await (await ask("api/incoming")).json();
      const ended = told.filter((one) => one.state === "done").length;
      showIncoming(told);
      if (ended !== before) { before = ended; await refresh(); }
    } catch {
      say("the viewer has ended; start 'meatus view' again", "bad");
    }
  }
}

async function start() {
  await nv.attachToCanvas(element("canvas"));
  nv.setSliceType(nv.sliceTypeMultiplanar);
  nv.setDrawColormap(COLOURS);
  nv.setDrawOpacity(Number(element("opacity").value));
  nv.onLocationChange = (place) => { element("place").textContent = wordsOf(place.mm); };
  listen();
  listenForScans();
  await refresh();
  watch();
  if (view.cases.length) await open(view.cases[0].case);
}

start().catch((error) => say(error.message, "bad"));
