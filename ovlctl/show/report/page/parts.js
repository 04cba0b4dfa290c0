// Elements are made here and nowhere from text: what is shown becomes a text node.

/** @param {string} id @returns {any} */
function at(id) {
  return document.getElementById(id);
}

/**
 * An element.
 * @param {string} what a tag, and classes after dots
 * @param {Record<string, any>} attributes
 * @param {...(Node | string | null | undefined)} content
 * @returns {any}
 */
function make(what, attributes = {}, ...content) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...content.filter((each) => each !== null && each !== undefined));
  return element;
}

/** Words for those who hear the page. @param {string} text */
function say(text) {
  at("said").textContent = text;
}

/** What tells layers apart beside their names. @param {number} layer */
function swatch(layer) {
  return make(`span.swatch.${layer < 0 ? "merged" : `layer-${layer % 6}`}`, { "aria-hidden": "true" });
}

/** A bar of parts. @param {number} most what is as long as can be @param {[string, number][]} parts class and amount */
function bar(most, parts) {
  const whole = make("span.bar", { "aria-hidden": "true" });
  for (const [kind, amount] of parts) {
    if (!amount) continue;
    const part = make(`span.${kind}`);
    part.style.width = `${Math.max(0.5, (100 * amount) / (most || 1))}%`;
    whole.append(part);
  }
  return whole;
}

/** A command to go on with, and a button that copies it. @param {string} text */
function command(text) {
  const copy = make("button.copy", { type: "button", "aria-label": `Copy ${text}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      say("Copied");
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    } catch {
      // Not allowed here: mark it, for whoever looks on.
      getSelection()?.selectAllChildren(copy.previousElementSibling);
    }
  });
  return make("div.command", {}, make("code", { tabindex: 0 }, text), copy);
}
