// Keeps a page up to date. It listens to the numbers of events, asks the server
// for the parts of the page that change, and puts in those that did. Nothing that
// an event says becomes a part of the page, and without this script everything
// works after loading the page again.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;
  const stream = document.getElementById("stream");
  const announce = document.getElementById("announce");
  const every = 1000;      // the most often that parts are asked for, in ms
  const quietly = 30000;   // how often they are asked for so that ages move on
  const longest = 30000;   // the longest wait before the stream is opened again
  let last = Number(main.dataset.after) || 0;
  let asked = 0, timer = 0, waits = 1000, asking = false, again = false, source = null;
  const seen = new Map();  // the parts as the server last sent them

  const say = (text) => { if (stream.textContent !== text) stream.textContent = text; };

  function open() {
    const query = new URLSearchParams({after: String(last)});
    if (main.dataset.incident) query.set("incident", main.dataset.incident);
    source = new EventSource("/live?" + query);
    source.onopen = () => {
      waits = 1000;
      say("Live: this page changes by itself.");
      main.dataset.stream = "open";
    };
    source.onmessage = (e) => {
      last = Math.max(last, Number(e.lastEventId) || 0);
      soon();
    };
    source.onerror = () => {
      main.dataset.stream = "lost";
      say("The connection is lost: trying again. What you see may be old.");
      // A browser tries again by itself, from the last event that it had, unless
      // it was turned away.
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => { open(); soon(); }, waits);
      waits = Math.min(waits * 2, longest);
    };
  }

  function soon() {
    if (document.hidden) { again = true; return; }
    if (timer) return;
    timer = setTimeout(refresh, Math.max(100, asked + every - Date.now()));
  }

  async function refresh() {
    timer = 0;
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    asked = Date.now();
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.set("fragment", main.dataset.live);
    try {
      const answer = await fetch(address, {cache: "no-store", credentials: "same-origin", redirect: "error", headers: {Accept: "text/html"}});
      if (!answer.ok) throw new Error(String(answer.status));
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (main.dataset.stream === "open") say("Live: this page changes by itself.");
    } catch {
      say("This page could not be brought up to date. Load it again; you may have to sign in.");
    } finally {
      asking = false;
      if (again) soon();
    }
  }

  function put(fresh) {
    const before = document.getElementById("say");
    const now = fresh.getElementById("say");
    if (before && now && before.textContent !== now.textContent) {
      before.textContent = now.textContent;
      announce.textContent = now.textContent;
    }
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      const html = part.outerHTML;
      if (seen.get(part.id) === html) continue;
      if (written(old)) { again = true; continue; } // after the person is done
      seen.set(part.id, html);
      swap(old, document.importNode(part, true));
    }
  }

  // Whether a person is filling in a form there.
  function written(part) {
    const active = document.activeElement;
    if (part.contains(active) && active.matches("input, textarea, select")) return true;
    for (const field of part.querySelectorAll("textarea, input")) {
      if (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue) return true;
    }
    return false;
  }

  // Puts a part in and keeps what the person did: what is unfolded, how far it is
  // scrolled, and where the focus is.
  function swap(old, part) {
    for (const details of old.querySelectorAll("details[id]")) {
      const same = find(part, details.id);
      if (same) same.open = details.open;
    }
    const scrolled = [...old.querySelectorAll(".scroll[id]")].map((e) => [e.id, e.scrollLeft]);
    const active = document.activeElement;
    const inside = old.contains(active);
    const id = inside ? active.id || (active.closest("details[id]") || {}).id : "";
    old.replaceWith(part);
    for (const [name, left] of scrolled) {
      const same = find(part, name);
      if (same) same.scrollLeft = left;
    }
    if (inside) {
      let same = id && find(part, id);
      if (same && same.matches("details")) same = same.querySelector("summary");
      (same || main).focus({preventScroll: true});
    }
  }

  function find(part, id) { return part.querySelector("#" + CSS.escape(id)); }

  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) soon(); });
  main.addEventListener("focusout", () => { if (again) soon(); });
  window.addEventListener("pagehide", () => source && source.close());
  window.addEventListener("pageshow", (e) => { if (e.persisted) { open(); soon(); } });
  setInterval(() => { if (!document.hidden) soon(); }, quietly);
  open();
})();
