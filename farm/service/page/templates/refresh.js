// Shows what changed without a reload: often while something runs, seldom otherwise.
"use strict";

const OFTEN = 1500;
const SELDOM = 4000;

function pause() {
  return document.querySelector("[data-open]") ? OFTEN : SELDOM;
}

// What plays, or is being used, is left alone.
function isInUse(live) {
  const clips = [...live.querySelectorAll("video")];
  return clips.some((clip) => !clip.paused) || live.contains(document.activeElement);
}

async function refresh() {
  const live = document.getElementById("live");
  if (!document.hidden && !isInUse(live)) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) {
        location.reload(); // logged out meanwhile
        return;
      }
      replaceChanged(live, fresh);
    } catch {
      // The service is away for a moment.
    }
  }
  setTimeout(refresh, pause());
}

// Replaces only the children that differ, so that pictures do not flicker.
function replaceChanged(live, fresh) {
  const known = new Map([...live.children].map((each) => [each.outerHTML, each]));
  const next = [...fresh.children].map((each) => known.get(each.outerHTML) ?? each);
  const isSame =
    next.length === live.children.length && next.every((each, i) => each === live.children[i]);
  if (!isSame) live.replaceChildren(...next);
}

setTimeout(refresh, pause());
