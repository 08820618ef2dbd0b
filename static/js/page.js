// What every screen shares: a busy button that presses once, errors tied to their fields after a swap, news spoken aloud,
// printing. Nothing here decides anything: two presses are one payment because the server says so.

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
  for (const field of document.querySelectorAll("#card [aria-describedby]")) {
    const hasError = document.getElementById(`${field.id}-error`)?.querySelector(".field__error");
    if (hasError) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  const alert = document.querySelector("#message [role='alert']");
  if (alert && !document.activeElement?.closest("#card .field")) alert.focus();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "action") return;
  const heading = document.querySelector("#action h1");
  say(heading?.textContent.trim() ?? "");
  heading?.focus();
  offerPrinting();
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
      setTimeout(() => window.htmx?.trigger(event.target, "load"), 5000);
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

offerPrinting();
