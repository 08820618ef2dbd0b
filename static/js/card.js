// The card form's courtesies: spaces by the brand's gaps, the slash, the brand by name and mark, a gentle word on leaving
// a field. The server judges again by the same table; without this file the form works just as well.

const form = document.getElementById("card");
const { brands, messages, either, hints } = JSON.parse(form.dataset.card);
// A method asks for what it needs: any of these but the first may be absent.
const [number, expiry, code, holder, identity, phone] = ["number", "expiry", "cvc", "holder", "id_number", "phone"].map(
  (name) => form.elements[name],
);
const mark = form.querySelector(".field__brand");
const status = document.getElementById("card-brand");
const hint = document.getElementById("card-cvc-hint");
const usualHint = hint?.textContent;

const digitsOf = (text) => text.replace(/[\s\-\u2010-\u2015.]/g, "");
const isDigits = (text) => /^[0-9]+$/.test(text);

function brandOf(digits) {
  let best = null;
  let longest = 0;
  for (const brand of brands) {
    for (const range of brand.prefixes) {
      const [low, high = low] = range.split("-");
      const head = digits.slice(0, low.length);
      if (head.length === low.length && head >= low && head <= high && low.length > longest) {
        best = brand;
        longest = low.length;
      }
    }
  }
  return best;
}

function passesCheckDigit(digits) {
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const value = place % 2 ? digit * 2 : Number(digit);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

// ------------------------------------------------------------------------------------------------------- while typing

function rewrite(field, formatted, digitsBefore, isDeleting) {
  if (field.value === formatted) return;
  field.value = formatted;
  if (document.activeElement !== field) return;
  let place = 0;
  for (let seen = 0; place < formatted.length && seen < digitsBefore; place += 1) {
    if (/[0-9]/.test(formatted[place])) seen += 1;
  }
  while (!isDeleting && place < formatted.length && !/[0-9]/.test(formatted[place])) place += 1;
  field.setSelectionRange(place, place);
}

function digitsBeforeCaret(field) {
  return field.value.slice(0, field.selectionStart ?? field.value.length).replace(/[^0-9]/g, "").length;
}

function spaced(digits, gaps) {
  return [...digits].map((digit, place) => (gaps.includes(place) ? ` ${digit}` : digit)).join("");
}

function formatNumber(event) {
  const digits = digitsOf(number.value);
  const brand = brandOf(digits);
  showBrand(brand);
  if (digits === "" || !isDigits(digits)) return;
  const gaps = brand?.gaps ?? [4, 8, 12, 16];
  rewrite(number, spaced(digits, gaps), digitsBeforeCaret(number), isDeletion(event));
}

function formatExpiry(event) {
  const typed = expiry.value;
  // Only what is typed as MMYY gets its slash; anything else that people or browsers write is left to the server.
  if (!/^[0-9 /]*$/.test(typed) || /[0-9]{5}/.test(typed) || isDeletion(event)) return;
  let digits = typed.replace(/[^0-9]/g, "");
  let before = digitsBeforeCaret(expiry);
  if (digits.length > 4) return;
  if (/^[2-9]$/.test(digits) || /^[1-9] ?\/$/.test(typed)) {
    digits = `0${digits}`;
    before += 1;
  }
  const formatted = digits.length < 2 ? digits : `${digits.slice(0, 2)} / ${digits.slice(2)}`;
  rewrite(expiry, formatted, before, false);
}

function isDeletion(event) {
  return event.inputType?.startsWith("delete") ?? false;
}

function showBrand(brand) {
  if (mark.dataset.brand === (brand?.brand ?? "")) return;
  mark.dataset.brand = brand?.brand ?? "";
  const drawn = brand && form.querySelector(`.card__brands [data-brand="${brand.brand}"] svg`);
  mark.replaceChildren(...(drawn ? [drawn.cloneNode(true)] : []));
  number.classList.toggle("field__input--branded", Boolean(drawn));
  for (const item of form.querySelectorAll(".card__brands [data-brand]")) {
    item.classList.toggle("is-other", Boolean(brand) && item.dataset.brand !== brand.brand);
  }
  status.textContent = brand?.label ?? "";
  if (hint) hint.textContent = hints[brand?.code] ?? usualHint;
}

// ------------------------------------------------------------------------------------------------- on leaving a field

function judgeNumber() {
  const digits = digitsOf(number.value);
  const brand = brandOf(digits);
  if (!isDigits(digits)) return messages.number_digits;
  if (digits.length > 19) return messages.number_long;
  if (digits.length < 12) return messages.number_short;
  if ((!brand || brand.luhn !== false) && !passesCheckDigit(digits)) return messages.number_wrong;
  if (!brand) return messages.number_brand;
  if (brand.lengths.includes(digits.length)) return "";
  return digits.length < Math.max(...brand.lengths) ? messages.number_short : messages.number_long;
}

function judgeExpiry() {
  const typed = expiry.value.trim();
  const found =
    typed.match(/^(?<month>[0-9]{1,2})\s*[/\-.\s]\s*(?<year>[0-9]{4}|[0-9]{2})$/) ??
    typed.match(/^(?<year>[0-9]{4})\s*[/\-.]\s*(?<month>[0-9]{1,2})$/) ??
    typed.match(/^(?<month>[0-9]{2})(?<year>[0-9]{4}|[0-9]{2})$/);
  if (!found || found.groups.month < 1 || found.groups.month > 12) return messages.expiry_format;
  const year = Number(found.groups.year) + (found.groups.year.length === 2 ? 2000 : 0);
  const today = new Date();
  const months = (year - today.getFullYear()) * 12 + Number(found.groups.month) - 1 - today.getMonth();
  return months < 0 ? messages.expiry_past : "";
}

function judgeCode() {
  const length = brandOf(digitsOf(number.value))?.code;
  const typed = digitsOf(code.value);
  const fits = isDigits(typed) && (length ? typed.length === length : /^.{3,4}$/.test(typed));
  return fits ? "" : messages.cvc_length.replace("{length}", length ?? either);
}

function judgeHolder() {
  const digits = holder.value.replace(/[^0-9]/g, "");
  if (digits.length >= 13 && passesCheckDigit(digits)) return messages.holder_number;
  return digits.length > 10 ? messages.holder_digits : "";
}

function judgeIdentity() {
  const typed = digitsOf(identity.value).toUpperCase();
  if (!/^([0-9]{15}|[0-9]{17}[0-9X])$/.test(typed)) return messages.id_number_format;
  return typed.length === 15 || passesIdentityCheck(typed) ? "" : messages.id_number_wrong;
}

/** ISO 7064, mod 11-2: the last sign of 18. */
function passesIdentityCheck(typed) {
  const rest = [...typed.slice(0, 17)].reduce((sum, digit) => ((sum + Number(digit)) * 2) % 11, 0);
  return "0123456789X"[(12 - rest) % 11] === typed[17];
}

function judgePhone() {
  const fits = /^((\+|00)?86)?1[0-9]{10}$/.test(digitsOf(phone.value).replace(/[()]/g, ""));
  return fits ? "" : messages.phone_format;
}

/** Writes a field's error below it; an empty text takes it away. */
function say(field, text) {
  const place = document.getElementById(`${field.id}-error`);
  if (!text) {
    place.replaceChildren();
    field.removeAttribute("aria-invalid");
    return;
  }
  if (place.textContent.trim() === text) return;
  const line = document.createElement("p");
  line.className = "field__error";
  line.textContent = text;
  place.replaceChildren(line);
  field.setAttribute("aria-invalid", "true");
}

let isPressing = false;
document.addEventListener("pointerdown", () => (isPressing = true), true);
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => (isPressing = false), true);

/** A field is left by pressing something: were its error to appear at once, what is being pressed would slip away. */
function afterPress(act) {
  if (isPressing) document.addEventListener("pointerup", () => setTimeout(act), { once: true });
  else act();
}

const judges = new Map([
  [number, judgeNumber],
  [expiry, judgeExpiry],
  [code, judgeCode],
  [holder, judgeHolder],
  [identity, judgeIdentity],
  [phone, judgePhone],
]);
judges.delete(undefined);

for (const [field, judge] of judges) {
  // Leaving an empty field is no mistake yet; the button says so if it stays empty.
  field.addEventListener("blur", () => afterPress(() => field.value.trim() && say(field, judge())));
  field.addEventListener("input", () => {
    const isRight = field.value.trim() || field.required ? !judge() : true;
    if (field.getAttribute("aria-invalid") === "true" && isRight) say(field, "");
  });
}
number.addEventListener("input", formatNumber);
expiry?.addEventListener("input", formatExpiry);
if (number.value) formatNumber(new Event("input"));
