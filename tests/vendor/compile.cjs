// Compiles every module of a Lightning component with the vendor's compiler; prints what it warns of, as JSON.
const { readdirSync, readFileSync } = require('fs');
const { join } = require('path');
const { transformSync } = require('@lwc/compiler');

const [directory] = process.argv.slice(2);
const said = [];
for (const file of readdirSync(directory).filter((name) => /\.(html|js)$/.test(name))) {
    const made = transformSync(readFileSync(join(directory, file), 'utf8'), file, { name: 'kpiScorecard', namespace: 'c' });
    said.push({ file, bytes: made.code.length, warnings: made.warnings ?? [] });
}
console.log(JSON.stringify(said));
