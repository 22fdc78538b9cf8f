// The gallery of a report: finds entries by an index, and loads the pages of them that are shown.
// Data comes as scripts, since pages from a file may not fetch. All names in it come from strangers:
// they become text, never markup, and links are taken only where they lead to a file or the web.
"use strict";

(() => {
  const STAGES = ["fetch", "open", "decode", "resize", "encode", "store"];
  const FACETS = ["status", "code", "engine", "output", "warning"];
  const [TOTAL_MS, ROW, WORDS] = [5, 6, 7];
  const MOST_PAGES_KEPT = 30;
  const SEARCH_DELAY_MS = 200;

  const gallery = document.getElementById("gallery");
  const form = document.getElementById("filters");
  const found = document.getElementById("found");
  const list = document.getElementById("entries");
  const [count, perPage, perIndex] = ["entries", "page", "index"].map((name) => Number(gallery.dataset[name]));

  // Data.

  const takers = new Map();
  globalThis.thumbfarmReport = { take: (name, data) => takers.get(name)?.(data) };

  function load(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      takers.set(name, resolve);
      script.src = `data/${name}.js?v=${gallery.dataset.stamp}`;
      script.onload = () => script.remove();
      script.onerror = () => reject(new Error(`data/${name}.js cannot be read`));
      document.head.append(script);
    }).finally(() => takers.delete(name));
  }

  const nameOf = (kind, number) => `${kind}-${String(number).padStart(5, "0")}`;

  const pages = new Map();

  function loadPage(number) {
    const page = pages.get(number) ?? load(nameOf("entries", number));
    pages.delete(number);
    pages.set(number, page);
    page.catch(() => pages.delete(number));
    if (pages.size > MOST_PAGES_KEPT) pages.delete(pages.keys().next().value);
    return page;
  }

  let index = null;

  function loadIndex() {
    index ??= (async () => {
      const rows = [];
      for (let number = 0; number * perIndex < count; number += 1) {
        for (const row of await load(nameOf("index", number))) rows.push(row);
        if (count > perIndex) found.textContent = `reading the index: ${rows.length.toLocaleString("en")}`;
      }
      return rows;
    })();
    index.catch(() => (index = null));
    return index;
  }

  // What is asked for: in the address, so that it can be passed on.

  function asked() {
    const words = new URLSearchParams(location.hash.slice(1));
    const wanted = Object.fromEntries(["q", ...FACETS, "order"].map((name) => [name, words.get(name) ?? ""]));
    return { ...wanted, page: Math.max(1, Math.trunc(Number(words.get("page"))) || 1) };
  }

  function ask(wanted) {
    const words = Object.entries(wanted).filter(([name, value]) => value && !(name === "page" && value === 1));
    const hash = `#${new URLSearchParams(words)}`;
    if (hash !== location.hash) history.pushState(null, "", hash === "#" ? location.pathname + location.search : hash);
    show();
  }

  /** The numbers of the entries that fit, in order; null for all as they are. */
  async function select(wanted) {
    const facets = FACETS.map((name, at) => [at, wanted[name]]).filter(([, value]) => value);
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    if (!facets.length && !words.length && !wanted.order) return null;
    const rows = await loadIndex();
    const fits = (row) =>
      facets.every(([at, value]) => row[at].includes(value)) && words.every((word) => row[WORDS].includes(word));
    const numbers = [];
    rows.forEach((row, number) => fits(row) && numbers.push(number));
    if (wanted.order === "row") numbers.sort((a, b) => rows[a][ROW] - rows[b][ROW]);
    if (wanted.order === "slow") numbers.sort((a, b) => rows[b][TOTAL_MS] - rows[a][TOTAL_MS]);
    return numbers;
  }

  async function entriesOf(numbers) {
    const wanted = [...new Set(numbers.map((number) => Math.floor(number / perPage)))];
    const loaded = new Map();
    for (const number of wanted) loaded.set(number, await loadPage(number));
    return numbers.map((number) => loaded.get(Math.floor(number / perPage))[number % perPage]);
  }

  let latest = 0;

  async function show() {
    const turn = (latest += 1);
    const wanted = asked();
    for (const name of ["q", ...FACETS, "order"]) {
      const field = form.elements[name];
      if (field && document.activeElement !== field) field.value = wanted[name];
    }
    list.classList.add("busy");
    try {
      const numbers = await select(wanted);
      const fitting = numbers?.length ?? count;
      const last = Math.max(1, Math.ceil(fitting / perPage));
      const page = Math.min(wanted.page, last);
      const begin = (page - 1) * perPage;
      const end = Math.min(begin + perPage, fitting);
      const shown = numbers?.slice(begin, end) ?? Array.from({ length: end - begin }, (_, at) => begin + at);
      const entries = await entriesOf(shown);
      if (turn !== latest) return;
      list.replaceChildren(...entries.map((entry) => card(entry, wanted.output)));
      list.start = begin + 1;
      tell(fitting, begin, end, numbers !== null);
      turnTo(wanted, page, last);
    } catch (error) {
      if (turn === latest) found.textContent = error.message;
    }
    if (turn === latest) list.classList.remove("busy");
  }

  function tell(fitting, begin, end, isFiltered) {
    const number = (value) => value.toLocaleString("en");
    const of = isFiltered && fitting < count ? `${number(fitting)} found, of ${number(count)}` : number(count);
    found.textContent = fitting ? `${number(begin + 1)} to ${number(end)} of ${of}` : "no entries";
  }

  function turnTo(wanted, page, last) {
    for (const [name, to] of [["previous", page - 1], ["next", page + 1]]) {
      for (const button of [document.getElementById(name), document.getElementById(`${name}-below`)]) {
        button.disabled = to < 1 || to > last;
        button.onclick = () => {
          ask({ ...wanted, page: to });
          gallery.scrollIntoView();
        };
      }
    }
  }

  // Words.

  function size(bytes) {
    const units = ["B", "kB", "MB", "GB"];
    let at = 0;
    for (; bytes >= 999.5 && at < units.length - 1; at += 1) bytes /= 1000;
    return `${Number(bytes.toPrecision(3))} ${units[at]}`;
  }

  function took(ms) {
    if (ms < 9.95) return `${ms.toFixed(1)} ms`;
    return ms < 999.5 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
  }

  function clock(seconds) {
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    const rest = (Math.floor((seconds % 60) * 10 + 1e-6) / 10).toFixed(1).padStart(4, "0");
    if (parts[0] === 0) parts.shift();
    return [...parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)), rest].join(":");
  }

  // Cards.

  /** An element; children are elements or text. */
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  function safe(href) {
    if (!href) return null;
    const { protocol } = new URL(href, document.baseURI);
    return ["http:", "https:", "file:"].includes(protocol) ? href : null;
  }

  function card(entry, output) {
    const total = entry.timings.reduce((sum, each) => sum + each, 0);
    const about = [`row ${entry.row}`, entry.engine, total ? took(total) : "", entry.attempts > 1 ? `${entry.attempts} attempts` : ""];
    const name = entry.id || entry.source || `row ${entry.row}`;
    const wanted = (file) => output === "" || String(file.output) === output;
    return make("li", `entry ${entry.status}`,
      make("div", "line",
        make("span", `pill ${entry.status}`, entry.status),
        make("h3", "", make("bdi", "", name)),
        make("span", "about", about.filter(Boolean).join(" · "))),
      entry.source && entry.source !== name ? make("div", "source", make("bdi", "", entry.source)) : null,
      entry.code ? make("p", "failure", make("code", "", entry.code), make("bdi", "", entry.message)) : null,
      entry.warnings.length ? make("ul", "chips", ...entry.warnings.map((each) => make("li", "", each))) : null,
      files(entry, wanted),
      total ? times(entry.timings, total) : null,
      more(entry));
  }

  function files(entry, wanted) {
    const shown = [
      ...entry.files.filter(wanted).map(figure),
      ...entry.boards.filter(wanted).map(board),
      entry.more ? make("span", "more", `${entry.more} more`) : null,
    ].filter(Boolean);
    return shown.length ? make("div", "files", ...shown) : null;
  }

  function caption(file, ...words) {
    const facts = [`${file.width}×${file.height}`, file.format, size(file.bytes), ...words];
    return make("figcaption", "", `${file.output}: ${facts.filter(Boolean).join(", ")}`);
  }

  function gone(words) {
    return make("div", "gone", words);
  }

  function figure(file) {
    const href = safe(file.href);
    const moment = file.pts === null ? "" : `at ${clock(file.pts)}`;
    if (href === null) return make("figure", "", gone(file.uri), caption(file, moment));
    if (file.format === "mp4") {
      const video = make("video", "");
      Object.assign(video, { src: href, controls: true, muted: true, preload: "none", width: file.width, height: file.height });
      return make("figure", "", video, caption(file, moment));
    }
    const link = make("a", "", image(href, file, file.height < 136 ? "picture small" : "picture"));
    Object.assign(link, { href, target: "_blank", rel: "noopener noreferrer" });
    return make("figure", "", link, caption(file, moment));
  }

  function image(href, file, className) {
    const picture = make("img", className);
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.width = file.width;
    picture.height = file.height;
    picture.alt = `output ${file.output}`;
    picture.onerror = () => picture.replaceWith(gone("the file is gone, or cannot be read from here"));
    picture.src = href;
    return picture;
  }

  // Storyboards: the tile of the moment under the pointer, or that the arrow keys lead to.

  function board(data) {
    const words = `${data.count} ${data.count === 1 ? "file" : "files"}, ${size(data.bytes)}`;
    const links = new Map(Object.entries(data.files).map(([number, file]) => [Number(number), safe(file.href)]));
    if (data.fault || [...links.values()].includes(null)) {
      return make("figure", "", gone(data.fault || Object.values(data.files)[0].uri), make("figcaption", "", `${data.output}: storyboard, ${words}`));
    }
    const cues = data.cues.map(([start, end, file, left, top, width, height]) => ({ start, end, file, left, top, width, height }));
    // The last cue of a picture that stands for all times ends after a day.
    const length = cues.length > 1 ? cues.at(-1).end : 0;
    const [across, down] = [cues[0].width, cues[0].height];
    const picture = image(links.get(cues[0].file), data.files[cues[0].file], "");
    const time = make("span", "clock");
    const done = make("span", "done");
    const box = make("div", "scrub", picture, time, make("span", "track"), done);
    box.style.width = `${across}px`;
    box.style.aspectRatio = `${across} / ${down}`;

    let at = -1;
    function go(to) {
      to = Math.min(Math.max(to, 0), cues.length - 1);
      if (to === at) return;
      at = to;
      const cue = cues[at];
      const file = data.files[cue.file];
      const href = links.get(cue.file);
      if (picture.getAttribute("src") !== href) picture.src = href;
      picture.style.width = `${(100 * file.width) / cue.width}%`;
      picture.style.height = `${(100 * file.height) / cue.height}%`;
      picture.style.left = `${(-100 * cue.left) / cue.width}%`;
      picture.style.top = `${(-100 * cue.top) / cue.height}%`;
      time.textContent = clock(cue.start);
      done.style.width = `${(100 * (at + 1)) / cues.length}%`;
      box.ariaValueNow = String(at + 1);
      box.ariaValueText = `${clock(cue.start)} of ${clock(length)}`;
    }
    /** The cue of a moment: the last one that has begun. */
    const cueAt = (seconds) => Math.max(0, cues.findLastIndex((cue) => cue.start <= seconds));

    if (cues.length > 1) {
      box.tabIndex = 0;
      box.role = "slider";
      box.ariaLabel = "Storyboard";
      box.ariaValueMin = "1";
      box.ariaValueMax = String(cues.length);
      box.addEventListener("pointermove", (event) => {
        const place = box.getBoundingClientRect();
        go(cueAt(Math.min(Math.max((event.clientX - place.left) / place.width, 0), 0.9999) * length));
      });
      const tenth = Math.max(1, Math.round(cues.length / 10));
      const keys = {
        ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -tenth, PageUp: tenth, Home: -cues.length, End: cues.length,
      };
      box.addEventListener("keydown", (event) => {
        if (keys[event.key] === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        go(at + keys[event.key]);
      });
    }
    go(0);
    const span = length ? `, ${clock(length)}` : "";
    return make("figure", "", box, make("figcaption", "", `${data.output}: storyboard of ${cues.length}, ${words}${span}`));
  }

  function times(timings, total) {
    const bar = make("div", "bar");
    const legend = make("ul", "stages");
    STAGES.forEach((stage, at) => {
      if (!timings[at]) return;
      const part = make("span", stage);
      part.style.flexGrow = String(timings[at] / total);
      bar.append(part);
      legend.append(make("li", stage, `${stage} ${took(timings[at])}`));
    });
    return make("div", "times", bar, legend);
  }

  function more(entry) {
    const facts = [
      ["tag", entry.tag],
      ["engine", [entry.engine, entry.version].filter(Boolean).join(" ")],
      ["fallback", entry.fallback],
      ["read", entry.bytes ? `${size(entry.bytes)}${entry.requests ? `, ${entry.requests} requests` : ""}` : ""],
      ["begun", entry.started > 0 ? new Date(entry.started * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC" : ""],
      ["worker", entry.worker],
      ...entry.notes,
    ].filter(([, value]) => value);
    if (!facts.length) return null;
    const terms = facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", make("bdi", "", value))]);
    return make("details", "", make("summary", "", "details"), make("dl", "", ...terms));
  }

  // What people do.

  function read() {
    const fields = Object.fromEntries(new FormData(form));
    return Object.fromEntries(["q", ...FACETS, "order"].map((name) => [name, fields[name] ?? ""]));
  }

  let typing = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => ask(read()), event.target.name === "q" ? SEARCH_DELAY_MS : 0);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    ask(read());
  });
  form.addEventListener("reset", () => setTimeout(() => ask(read())));
  /** What an address asks for is to be seen, too. */
  function follow() {
    if (location.hash.includes("=")) gallery.scrollIntoView();
    show();
  }
  addEventListener("hashchange", follow);
  follow();
})();
