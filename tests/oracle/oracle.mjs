// Answers the tests' questions with the libraries that docker/metadata-action uses.
// In: a JSON list of [KIND, ARGUMENT...] on standard input. Out: a JSON list of answers.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';

const require = createRequire(import.meta.url);
const moment = require('moment-timezone');
const semver = require('semver');
const pep440 = require('@renovate/pep440');

const kinds = {
  // The text of a date, of milliseconds since 1970.
  date: (milliseconds, zone, format) => moment(milliseconds).tz(zone).format(format),
  zone: name => moment.tz.zone(name) !== null,
  semver: text => {
    if (!semver.valid(text)) return null;
    const found = semver.parse(text, {loose: true});
    const names = ['raw', 'version', 'major', 'minor', 'patch', 'prerelease', 'build'];
    const fields = Object.fromEntries(names.map(name => [name, `${found[name]}`]));
    return [fields, semver.prerelease(text) !== null];
  },
  pep440: text => {
    if (!pep440.valid(text)) return null;
    const {is_prerelease, is_postrelease, is_devrelease} = pep440.explain(text);
    const found = {raw: text, version: pep440.clean(text)};
    for (const name of ['major', 'minor', 'patch']) found[name] = `${pep440[name](text)}`;
    return [found, is_prerelease || is_postrelease || is_devrelease];
  },
  // What String.prototype.match finds in each text, or the word "error".
  match: (pattern, slashes, texts) => {
    const parts = slashes ? pattern.match(/^\/(.+)\/(.*)$/) : null;
    // A new one each time: one with the flag y goes on where it ended.
    const regex = () => parts ? new RegExp(parts[1], parts[2]) : new RegExp(pattern);
    try {
      regex();
    } catch {
      return 'error';
    }
    return texts.map(text => {
      const found = text.match(regex());
      return found && [...found].map(group => group ?? null);
    });
  }
};

const questions = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(questions.map(([kind, ...rest]) => kinds[kind](...rest) ?? null)));
