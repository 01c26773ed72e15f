// What the pages can do beyond reading: keys, copying, and saying how old they are.  Without it they read all the same.
"use strict";

(() => {
  const OLD_AFTER_MS = 10000; // the stream says something every second or two
  const BROKEN_AFTER_MS = 2000; // once a minute it ends, and comes again at once
  const words = document.body.dataset;
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("a.row")];

  // Keys: / finds, g and a letter goes, j and k move over rows, e begins what the page is for, ? lists them.
  let awaited = false;
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  };
  const help = () => document.getElementById("keys").showModal();
  // What a page is for: a form that opens, or a button that is next.  Nothing is sent by the key.
  const begin = () => {
    const main = document.querySelector("[data-main]");
    if (!main) return;
    if (main.tagName === "DETAILS") main.open = true;
    (main.querySelector("input:not([type=hidden]), textarea") ?? main).focus();
  };
  const find = () => document.querySelector("[data-find]")?.focus();
  const keys = { j: () => move(1), k: () => move(-1), "?": help, "/": find, e: begin };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (awaited) {
      awaited = false;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
    } else if (event.key === "g") {
      awaited = true;
    } else if (keys[event.key] && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  const button = document.querySelector("[data-help]");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", help);
  }

  // A button that prints the page, where scripts may.
  for (const print of document.querySelectorAll("[data-print]")) {
    print.hidden = false;
    print.addEventListener("click", () => window.print());
  }

  // A click on a reference, or on a button beside a text, copies all of it; on one that is a link it follows that.
  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-copy]");
    if (!target || target.closest("a") || !navigator.clipboard || String(getSelection())) return;
    event.preventDefault();
    await navigator.clipboard.writeText(target.dataset.copy);
    target.dataset.told = words.copied;
    target.classList.add("copied");
    setTimeout(() => target.classList.remove("copied"), 1500);
  });

  // The age of what is shown.
  const lasting = (ms) => {
    const s = Math.floor(ms / 1000);
    const [unit, n] = s < 60 ? [words.second, s] : s < 3600 ? [words.minute, Math.floor(s / 60)] : [words.hour, Math.floor(s / 3600)];
    return unit.replace("#", n);
  };
  const loaded = performance.now();
  let heard = loaded;
  let brokenAt = null;
  const tick = () => {
    const age = performance.now() - heard;
    for (const place of document.querySelectorAll("[data-age]")) place.textContent = words.ago.replace("#", lasting(age));
    const live = document.querySelector(".live");
    const isBroken = brokenAt !== null && performance.now() - brokenAt > BROKEN_AFTER_MS;
    if (live && live.dataset.live) live.classList.toggle("old", age > OLD_AFTER_MS || isBroken);
  };
  setInterval(tick, 1000);
  tick();

  // Live: what changed is marked for a moment; a stream that breaks is said at once.
  const before = new Map();
  const remember = () => {
    for (const place of document.querySelectorAll("[data-n]")) {
      const was = before.get(place.dataset.n);
      if (was !== undefined && was !== place.textContent) place.classList.add("changed");
      before.set(place.dataset.n, place.textContent);
    }
  };
  remember();
  const broken = (is) => {
    brokenAt = is ? (brokenAt ?? performance.now()) : null;
    tick();
  };
  document.body.addEventListener("htmx:sseMessage", () => {
    heard = performance.now();
    remember();
    broken(false);
  });
  document.body.addEventListener("htmx:sseError", () => broken(true));
  document.body.addEventListener("htmx:sseClose", () => broken(true));
})();
