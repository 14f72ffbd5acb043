// Enlarge a file with sharp, on all processors: node sharp_script.js SHARP FACTOR TARGET SOURCE, where SHARP is its folder.
const os = require("node:os");
const path = require("node:path");

const [library, factor, target, source] = process.argv.slice(2);
const sharp = require(library);
const options = {
  ".jpg": { quality: 95, chromaSubsampling: "4:4:4" },
  ".png": {},
  ".tif": { compression: "deflate" },
  ".webp": { quality: 95 },
};

async function main() {
  sharp.concurrency(os.cpus().length);
  const suffix = path.extname(target);
  const format = { ".jpg": "jpeg", ".png": "png", ".tif": "tiff", ".webp": "webp" }[suffix];
  const image = sharp(source);
  const { width } = await image.metadata();
  await image.resize({ width: width * factor, kernel: "lanczos3" })[format](options[suffix]).toFile(target);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
