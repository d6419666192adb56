// Searching with a picture: choose it, drop it on the page, or paste it.

import { at, iconButton, make } from "./dom.js";
import { picture } from "./picture.js";
import { showError } from "./notices.js";
import { go, newWords, ownPicture, state } from "./state.js";

const LARGEST = 1024; // pixels of the longer side that are sent: the vision encoder sees fewer

// The file, made smaller if it is large, as a JPEG. One that this browser cannot decode, such as a
// phone's HEIC, stays as it is: the service may know it.
async function smaller(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return file;
  const scale = LARGEST / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  return new File([blob], file.name, { type: blob.type });
}

async function take(files) {
  const all = [...files];
  const file = all.find((one) => one.type.startsWith("image/")) ?? all.find((one) => !one.type); // a browser may not know the type
  if (file) go(newWords(""), { picture: await smaller(file) });
  else if (all.length) showError(`“${all[0].name}” is no picture.`);
}

// The picture that is searched with, inside the search box.
export function showAsked() {
  const own = ownPicture();
  const box = at("asked-picture");
  box.hidden = !own && !state.like;
  box.replaceChildren();
  if (box.hidden) return;
  const image = own ? picture(URL.createObjectURL(own), `your picture ${own.name}`)
    : picture(`images/${state.like.split("/").map(encodeURIComponent).join("/")}`, `the picture ${state.like}`);
  const said = make("span", {}, own ? "like your picture" : "more like this");
  if (own) image.addEventListener("error", () => {
    image.remove();
    said.className = "file";
    said.textContent = said.title = `like ${own.name}`;
  });
  box.append(image, said, iconButton("wrong", "Remove the picture", () => {
    go(newWords(""));
    at("query").focus();
  }));
}

const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

export function listen() {
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    take(at("file").files);
    at("file").value = "";
  });
  addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    at("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) at("drop").hidden = true;
  });
  addEventListener("drop", (event) => {
    at("drop").hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}
