// Makes the thumbnails of one request with sharp and prints how many there were and how long it took.
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';

const [modules, words] = process.argv.slice(2);
const sharp = createRequire(`${modules}/`)('sharp');
const request = JSON.parse(words);
// Nothing is kept between pictures.
sharp.cache(false);

const formats = { jpg: 'jpeg', png: 'png', webp: 'webp' };
const options = request.format === 'png' ? {} : { quality: request.quality };

async function makeOne() {
  const data = await readFile(request.source);
  const made = await sharp(data)
    .resize(request.width, request.height, { fit: 'inside', withoutEnlargement: true })
    .toFormat(formats[request.format], options)
    .toBuffer();
  return made.length > 0 ? 1 : 0;
}

let next = 0;
let pictures = 0;
async function work() {
  while (next++ < request.units) {
    const made = await makeOne();
    pictures += made;
  }
}

const began = process.hrtime.bigint();
await Promise.all(Array.from({ length: 2 * request.workers }, work));
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
console.log(JSON.stringify({ pictures, seconds }));
