// Shows the pictures of a storyboard above the time line of a video: <video data-storyboard="a.vtt">.

const STEP_SECONDS = 1;

/** Seconds of "01:02:03.500" or "02:03.500". */
export function parseTime(text) {
  return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** The cues of a WebVTT text: start, end, url, and the tile's left, top, width and height. */
export function parseStoryboard(text, base) {
  const cues = [];
  for (const block of text.replace(/\r\n?/g, "\n").split(/\n{2,}/)) {
    const lines = block.split("\n");
    const at = lines.findIndex((line) => line.includes("-->"));
    if (at < 0 || !lines[at + 1]) continue;
    const [start, end] = lines[at].split("-->").map((time) => parseTime(time.trim().split(/\s/)[0]));
    const url = new URL(lines[at + 1].trim(), base);
    const tile = /^#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(url.hash);
    const [left, top, width, height] = tile ? tile.slice(1).map(Number) : [0, 0, null, null];
    url.hash = "";
    cues.push({ start, end, url: url.href, left, top, width, height });
  }
  return cues;
}

/** The cue of a moment: the last one that has begun. */
export function cueAt(cues, seconds) {
  return cues.findLast((cue) => cue.start <= seconds) ?? cues[0];
}

/** "1:02:03" or "2:03". */
export function formatTime(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

function make(tag, className, parent) {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

/** Adds a time line behind a video. */
export async function attach(video) {
  const base = new URL(video.dataset.storyboard, document.baseURI);
  const answer = await fetch(base);
  if (!answer.ok) throw new Error(`${base}: ${answer.status}`);
  const cues = parseStoryboard(await answer.text(), base);

  const line = document.createElement("div");
  line.className = "timeline";
  line.tabIndex = 0;
  line.role = "slider";
  line.ariaLabel = "Position";
  line.ariaValueMin = "0";
  video.after(line);
  make("div", "track", line);
  const done = make("div", "done", line);
  const mark = make("div", "mark", line);
  const preview = make("div", "preview", line);
  const time = make("time", "", preview);
  mark.hidden = preview.hidden = true;

  function show(seconds) {
    const cue = cueAt(cues, seconds);
    if (!cue || !video.duration) return;
    const x = (seconds / video.duration) * line.clientWidth;
    preview.style.width = `${cue.width ?? 160}px`;
    preview.style.height = `${cue.height ?? 90}px`;
    preview.style.backgroundImage = `url("${cue.url}")`;
    preview.style.backgroundPosition = `${-cue.left}px ${-cue.top}px`;
    preview.style.backgroundSize = cue.width === null ? "contain" : "auto";
    time.textContent = formatTime(seconds);
    mark.hidden = preview.hidden = false;
    mark.style.left = `${x}px`;
    const most = Math.max(0, line.clientWidth - preview.offsetWidth);
    preview.style.left = `${Math.min(Math.max(0, x - preview.offsetWidth / 2), most)}px`;
  }

  function hide() {
    mark.hidden = preview.hidden = true;
  }

  function follow() {
    done.style.width = `${(100 * video.currentTime) / (video.duration || 1)}%`;
    line.ariaValueMax = String(video.duration || 0);
    line.ariaValueNow = String(video.currentTime);
    line.ariaValueText = `${formatTime(video.currentTime)} of ${formatTime(video.duration || 0)}`;
  }

  function secondsOf(event) {
    const box = line.getBoundingClientRect();
    const fraction = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(fraction, 0), 0.9999) * video.duration;
  }

  function seek(seconds) {
    video.currentTime = Math.min(Math.max(seconds, 0), video.duration);
    show(video.currentTime);
    follow();
  }

  const keys = {
    ArrowLeft: () => seek(video.currentTime - STEP_SECONDS),
    ArrowRight: () => seek(video.currentTime + STEP_SECONDS),
    PageDown: () => seek(video.currentTime - video.duration / 10),
    PageUp: () => seek(video.currentTime + video.duration / 10),
    Home: () => seek(0),
    End: () => seek(video.duration),
    " ": () => (video.paused ? video.play() : video.pause()),
    Escape: hide,
  };
  line.addEventListener("pointermove", (event) => show(secondsOf(event)));
  line.addEventListener("pointerleave", hide);
  line.addEventListener("click", (event) => seek(secondsOf(event)));
  line.addEventListener("focus", () => line.matches(":focus-visible") && show(video.currentTime));
  line.addEventListener("blur", hide);
  line.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  video.addEventListener("click", keys[" "]);
  video.addEventListener("timeupdate", follow);
  video.addEventListener("durationchange", follow);
  follow();
}

for (const video of document.querySelectorAll("video[data-storyboard]")) await attach(video);
