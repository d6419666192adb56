// A picture as it should be drawn: pixel art with sharp pixels, photographs smoothed.

import { load } from "./api.js";
import { make } from "./dom.js";

const PIXEL_ART = 96; // the longest side of pixel art

export function picture(address, alt) {
  const image = make("img", { alt, decoding: "async" });
  image.addEventListener("load", () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    image.classList.toggle("pixels", side <= PIXEL_ART);
    image.classList.add("here");
  });
  load(image, address);
  return image;
}
