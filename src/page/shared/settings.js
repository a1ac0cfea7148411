// The language and the theme: by the address, else as chosen before, else as the browser has them.

import { el, icon } from './dom.js';

const query = new URLSearchParams(location.search);
const saved = {
  get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, value) => {
    try { localStorage.setItem(name, value); } catch { /* A private window forgets. */ }
  },
};
const preferred = navigator.languages.find((one) => /^(zh|en)/i.test(one)) ?? 'en';
const language = query.get('lang') ?? saved.get('language') ?? preferred.slice(0, 2).toLowerCase();
let theme = query.get('theme') ?? saved.get('theme') ?? 'auto';

function setTheme() {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Sets both, and loads the texts of the language, and of no other. */
export async function settings({ en, zh }) {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  setTheme();
  return (await (language === 'zh' ? zh : en)()).default;
}

export const quiet = (kind, label, onclick, child) => el(
  'button',
  { type: 'button', class: `quiet ${kind}`, title: label, 'aria-label': label, onclick },
  child,
);

export function themeButton(say) {
  const picture = () => icon({ auto: 'auto', light: 'sun', dark: 'moon' }[theme], 17);
  const button = quiet('theme', say.theme[theme], () => {
    theme = { auto: 'light', light: 'dark', dark: 'auto' }[theme];
    saved.set('theme', theme);
    setTheme();
    button.replaceChildren(picture());
    button.title = say.theme[theme];
    button.setAttribute('aria-label', say.theme[theme]);
  }, picture());
  return button;
}

export function languageLink(say) {
  const other = language === 'zh' ? 'en' : 'zh';
  const parameters = new URLSearchParams(location.search);
  parameters.set('lang', other);
  return el('a', {
    class: 'quiet lang', href: `?${parameters}`, hreflang: other,
    lang: other === 'zh' ? 'zh-CN' : 'en', onclick: () => saved.set('language', other),
  }, say.language);
}
