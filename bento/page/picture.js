// A picture as it should be drawn: pixel art with sharp pixels, photographs smoothed.

import { reachable } from "./api.js";
import { make } from "./dom.js";

const PIXEL_ART = 96; // the longest side of pixel art

// Show what is at `address`, for as long as `image` lives.
async function load(image, address) {
  const source = await reachable(address);
  if (source.startsWith("blob:")) {
    for (const event of ["load", "error"]) image.addEventListener(event, () => URL.revokeObjectURL(source));
  }
  image.src = source;
}

// An object URL as `address` is revoked once the picture is there.
export function picture(address, alt) {
  const image = make("img", { alt, decoding: "async" });
  image.addEventListener("load", () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    image.classList.toggle("pixels", side <= PIXEL_ART);
    image.classList.add("here");
  });
  load(image, address).catch(() => {}); // its place stays empty
  return image;
}
