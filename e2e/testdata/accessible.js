// Looks at a page as it stands in a browser and lists what people who hear it,
// who have no mouse or who see little cannot use. It is run by web_pages_test.go.
(() => {
  const faults = [];
  const fault = (what, e) => faults.push(what + (e ? ": " + (e.outerHTML || String(e)).slice(0, 160) : ""));
  const shown = (e) => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  const name = (e) => {
    const by = e.getAttribute("aria-labelledby");
    if (by) return by.split(/\s+/).map((id) => (document.getElementById(id) || {textContent: ""}).textContent).join(" ").trim();
    return (e.getAttribute("aria-label") || e.textContent || e.getAttribute("title") || "").trim();
  };
  if (!document.documentElement.lang) fault("the page has no language");
  if (!document.title.trim()) fault("the page has no title");
  for (const [what, count] of [["h1", 1], ["main", 1], ["header", 1]]) {
    if (document.querySelectorAll(what).length !== count) fault("there are " + document.querySelectorAll(what).length + " of " + what);
  }
  let level = 0;
  for (const h of document.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const n = Number(h.tagName[1]);
    if (n > level + 1) fault("a heading leaves out a level", h);
    if (!h.textContent.trim()) fault("a heading is empty", h);
    level = n;
  }
  const ids = new Set();
  for (const e of document.querySelectorAll("[id]")) {
    if (ids.has(e.id)) fault("two things have one id", e);
    ids.add(e.id);
  }
  for (const e of document.querySelectorAll("[aria-labelledby],[aria-describedby]")) {
    for (const id of (e.getAttribute("aria-labelledby") || e.getAttribute("aria-describedby")).split(/\s+/)) {
      if (!document.getElementById(id)) fault("it is named by what is not there", e);
    }
  }
  for (const e of document.querySelectorAll("input:not([type=hidden]),select,textarea")) {
    if (!(e.labels && e.labels.length && [...e.labels].some((l) => l.textContent.trim())) && !e.getAttribute("aria-label")) fault("a field has no label", e);
  }
  for (const e of document.querySelectorAll("a[href],button,summary,nav,[role=region]")) {
    if (e.tagName === "NAV" ? !e.getAttribute("aria-label") : !name(e)) fault("it has no name", e);
  }
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) fault("a picture has no text", e);
  for (const e of document.querySelectorAll("svg")) if (e.getAttribute("role") !== "img" || !name(e)) fault("a drawing has no name", e);
  for (const e of document.querySelectorAll("th")) if (!e.scope) fault("a heading of a table says not of what", e);
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) fault("it changes the order of the focus", e);
  for (const e of document.querySelectorAll("main *")) {
    const style = getComputedStyle(e);
    if (/auto|scroll/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0) fault("it can be scrolled, and not by keys", e);
  }
  for (const e of document.querySelectorAll("button,summary,.button,input,select,textarea")) {
    const box = e.getBoundingClientRect();
    if (shown(e) && box.width > 0 && e.type !== "checkbox" && box.height < 43) fault("it is too small for a finger, " + Math.round(box.height) + " px", e);
  }

  const parse = (s) => {
    const m = s.match(/[\d.]+/g);
    return m ? {r: +m[0], g: +m[1], b: +m[2], a: m.length > 3 ? +m[3] : 1} : null;
  };
  const light = (c) => {
    const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(c.r) + 0.7152 * f(c.g) + 0.0722 * f(c.b);
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c && c.a === 1) return c;
      if (c && c.a > 0) fault("it is half transparent: its contrast cannot be told", e);
    }
    return {r: 255, g: 255, b: 255, a: 1};
  };
  const said = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || e.closest("title,desc,script,.unseen") || !shown(e)) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.closest("svg") ? style.fill : style.color), paper = behind(e);
    const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const key = style.color + style.fill + paper.r + paper.g + paper.b;
    if (contrast < 4.5 && !said.has(key)) {
      said.add(key);
      fault("the contrast is " + contrast.toFixed(2), e);
    }
  }
  const wide = document.scrollingElement.scrollWidth - window.innerWidth;
  if (wide > 0) {
    fault("the page is " + wide + " px wider than the window");
    for (const e of document.querySelectorAll("main *")) {
      if (!e.closest(".scroll,svg,.unseen") && e.getBoundingClientRect().right > window.innerWidth + 1) { fault("it is too wide", e); break; }
    }
  }
  return faults;
})()
