// What the pages do not need but are better for: running clocks, copy buttons, times in the browser's zone.
(function () {
  "use strict";

  // Countdowns. The server's clock decides, so ours is corrected by what the page was made with.
  const marks = [600, 300, 60];

  function inClock(seconds) {
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    const two = (n) => String(n).padStart(2, "0");
    return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(seconds % 60);
  }

  function inWords(seconds) {
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    const rest = seconds % 60;
    if (hours) return minutes ? hours + " h " + minutes + " min" : hours === 1 ? "1 hour" : hours + " hours";
    if (!minutes) return rest + " s";
    return minutes + " min" + (rest ? " " + rest + " s" : "");
  }

  function startCountdown(element) {
    const end = Date.parse(element.dataset.countdown);
    const made = Date.parse(element.dataset.countdownNow);
    const offset = Number.isNaN(made) ? 0 : made - Date.now();
    const status = document.getElementById(element.dataset.countdownStatus || "");
    const write = element.dataset.countdownStyle === "words" ? inWords : inClock;
    const text = element.dataset.countdownText || "%";
    let before = Infinity;
    if (Number.isNaN(end)) return;

    function tick() {
      const left = Math.max(0, Math.ceil((end - Date.now() - offset) / 1000));
      element.textContent = left ? text.replace("%", write(left)) : element.dataset.countdownOver || "time is up";
      if (status && before !== Infinity) {
        const mark = marks.find((m) => before > m && left <= m && left > 0);
        if (mark) status.textContent = mark / 60 + (mark === 60 ? " minute left" : " minutes left");
        if (before > 0 && left === 0) status.textContent = "The time is up.";
      }
      before = left;
      if (left && element.isConnected) window.setTimeout(tick, 1000);
    }
    tick();
  }

  // Copy buttons stay hidden without script. Their next sibling, a status element, says what happened.
  function startCopy(button) {
    const source = document.querySelector(button.dataset.copy);
    const label = button.textContent;
    if (!source || !navigator.clipboard) return;
    button.hidden = false;
    const next = button.nextElementSibling;
    const status = next && next.getAttribute("role") === "status" ? next : document.createElement("span");
    button.addEventListener("click", async function () {
      const words = source.localName === "input" ? source.value : source.innerText;
      let said = "Copied";
      try {
        await navigator.clipboard.writeText(words.trim());
      } catch {
        said = "Not copied";
      }
      button.textContent = status.textContent = said;
      window.setTimeout(function () {
        button.textContent = label;
        status.textContent = "";
      }, 2500);
    });
  }

  // Times come in the reader's own zone; who has set none gets the browser's.
  function localise(element) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) return;
    const show = (options) => new Intl.DateTimeFormat("en-GB", options).format(at);
    const minute = { hour: "2-digit", minute: "2-digit" };
    const today = new Date().toDateString() === at.toDateString();
    const style = element.dataset.local === "step" ? (today ? "time" : "day") : element.dataset.local;
    if (style === "time") {
      element.textContent = show({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
    } else if (style === "day") {
      const thisYear = new Date().getFullYear() === at.getFullYear();
      const day = show({ day: "numeric", month: "short", year: thisYear ? undefined : "numeric" });
      element.textContent = today ? "today at " + show(minute) : day + ", " + show(minute);
    } else {
      element.textContent = show({ day: "numeric", month: "short", year: "numeric" }) + ", " + show(minute);
    }
    element.title = show({ dateStyle: "long", timeStyle: "long" });
  }

  // A part that changes by itself is fetched again every 5 s. When the right to see it is over, the page says so.
  function startRefresh(part) {
    window.setInterval(async function () {
      const busy = part.contains(document.activeElement) && document.activeElement.localName === "input";
      if (document.hidden || busy) return;
      let answer;
      try {
        answer = await fetch(part.dataset.refresh, { redirect: "manual", cache: "no-store" });
      } catch {
        return; // the network is away for a moment
      }
      if (!answer.ok) {
        if (answer.status < 500) window.location.reload(); // refused, gone, or (0) sent to the sign-in page
        return;
      }
      part.innerHTML = await answer.text();
      dress(part);
    }, 5000);
  }

  function dress(root) {
    if (document.documentElement.dataset.zone === "") root.querySelectorAll("time[data-local]").forEach(localise);
    root.querySelectorAll("[data-countdown]").forEach(startCountdown);
  }

  dress(document);
  document.querySelectorAll("[data-refresh]").forEach(startRefresh);
  document.querySelectorAll("button[data-copy]").forEach(startCopy);
  document.querySelectorAll("input[readonly]").forEach(function (input) {
    input.addEventListener("focus", () => input.select());
  });
})();
