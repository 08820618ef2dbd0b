// What every screen shares: a busy button that presses once, errors tied to their fields after a swap, news spoken aloud,
// clocks that run down, printing. Nothing here decides anything: two presses are one payment because the server says so.

const announcer = document.getElementById("announcer");

function say(text) {
  if (announcer) announcer.textContent = text;
}

// --------------------------------------------------------------------------------------------------------- busy buttons

function beBusy(form, button) {
  form.dataset.sending = "";
  for (const each of form.querySelectorAll("button")) each.setAttribute("aria-disabled", "true");
  const label = button?.querySelector("[data-label]");
  const text = button?.dataset.busyText;
  if (!label || !text) return;
  label.dataset.label = label.textContent;
  label.textContent = text;
  say(text);
}

function beReady(form) {
  delete form.dataset.sending;
  for (const button of form.querySelectorAll("button")) {
    button.removeAttribute("aria-disabled");
    const label = button.querySelector("[data-label]");
    if (label?.dataset.label) label.textContent = label.dataset.label;
  }
}

document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.matches("form[data-busy]")) return;
    if (document.querySelector("form[data-sending]")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    // After the browser has read the form: what is sent must not depend on how the button looks.
    setTimeout(() => beBusy(event.target, event.submitter));
  },
  true,
);

// Back from the provider's page, the browser may show this one as it was left.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
  document.querySelectorAll("form[data-sending]").forEach(beReady);
});

// -------------------------------------------------------------------------------------------------------- after a swap

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest?.("form[data-busy]");
  const isLeaving = event.detail.xhr?.getResponseHeader("HX-Redirect");
  if (form && !isLeaving) setTimeout(() => beReady(form));
});

document.addEventListener("htmx:afterSettle", () => {
  for (const field of document.querySelectorAll(".pay [aria-describedby]")) {
    const hasError = document.getElementById(`${field.id}-error`)?.querySelector(".field__error");
    if (hasError) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  const alert = document.querySelector("#message [role='alert']");
  if (alert && !document.activeElement?.closest(".pay .field")) alert.focus();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "action") return;
  const heading = document.querySelector("#action h1");
  say(heading?.textContent.trim() ?? "");
  heading?.focus();
  prepare();
});

for (const trouble of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(trouble, (event) => {
    const form = event.target.closest?.("form[data-busy]");
    const place = document.getElementById("message");
    if (form && place) {
      const box = document.createElement("div");
      box.className = "message message--warning";
      box.setAttribute("role", "alert");
      box.tabIndex = -1;
      box.textContent = document.querySelector("[data-unreachable]").dataset.unreachable;
      place.replaceChildren(box);
      box.focus();
    } else if (event.target.id === "poll") {
      // The next look must not be lost with this one.
      setTimeout(() => window.htmx?.trigger(event.target, "look"), 5000);
    }
  });
}

// A link in the summary goes to its field, not only to its place.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".message__list a");
  const field = link && document.getElementById(link.hash.slice(1));
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.scrollIntoView({ block: "center" });
});

// ------------------------------------------------------------------------------------------------------------- printing

function offerPrinting() {
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

// ------------------------------------------------------------------------------------------------------------- clocks

/** Counts down by the clock on the wall, for a browser lets a page in the background sleep. */
function countDown(place) {
  const left = place.querySelector("[data-left]");
  const end = Date.now() + Number(place.dataset.countdown) * 1000;
  const timer = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds && place.isConnected) return;
    clearInterval(timer);
    if (place.isConnected) endCountdown(place);
  }, 1000);
}

function endCountdown(place) {
  const next = document.getElementById(place.dataset.then);
  if (next?.id === "poll") {
    window.htmx?.trigger(next, "look");
  } else if (next) {
    place.hidden = true;
    next.hidden = false;
  }
}

// -------------------------------------------------------------------------------------------------------------- fields

// A code is pasted as people copy it: with blanks, or with the sentence around it.
document.addEventListener("paste", (event) => {
  const field = event.target.closest?.("input[data-digits]");
  const digits = (event.clipboardData?.getData("text") ?? "").replace(/[^0-9]/g, "");
  if (!field || !digits || digits.length > field.maxLength) return;
  event.preventDefault();
  field.value = digits;
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

/** What a provider's risk checks ask of a browser. */
function describeBrowser() {
  const facts = {
    browser_javascript: "1",
    browser_java: navigator.javaEnabled?.() ? "1" : "0",
    browser_color_depth: screen.colorDepth,
    browser_screen_width: screen.width,
    browser_screen_height: screen.height,
    browser_time_zone_offset: new Date().getTimezoneOffset(),
  };
  for (const [name, value] of Object.entries(facts)) {
    for (const field of document.getElementsByName(name)) field.value = value;
  }
}

// -------------------------------------------------------------------------------------------------------------- start

function prepare() {
  describeBrowser();
  offerPrinting();
  document.querySelectorAll("[data-countdown]").forEach(countDown);
}

prepare();
