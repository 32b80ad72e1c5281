// The player's page: who is here, what he has, and one view after the other.

import {GivenUp} from "../client/solidgreen.js";
import {announce, byId, el, fill, state} from "../shared/dom.js";
import {letIn} from "../shared/door.js";
import {shown} from "../shared/money.js";
import {Session} from "../shared/session.js";
import {inWords} from "../shared/words.js";
import {Account} from "./account.js";
import * as bet from "./bet.js";

const views = {bet};
const LATER = {
  history: () => import("./history.js"),
  statement: () => import("./statement.js"),
  send: () => import("./send.js"),
  receipts: () => import("./receipts.js"),
  limits: () => import("./limits.js"),
};
const TRY_AGAIN_MS = 2000;

const main = byId("main");
const trouble = el("p.note.red", {role: "alert"}, "This view could not be loaded. Try again in a moment.");
/** Ends what the view that is shown now listens to. */
let shownNow = new AbortController();
let shownHash = "", turn = 0, styled = null;

const styledBy = (name) => new Promise((resolve) => {
  document.head.append(el("link", {rel: "stylesheet", href: `/web/style/${name}.css`, onload: resolve, onerror: resolve}));
});

async function viewOf(name) {
  if (views[name] === undefined) {
    // Of a module that could not be had many browsers remember that, and never ask again; not so of a file.
    const {ok} = await fetch(`/web/player/${name}.js`);
    if (!ok) throw new Error(name);
    styled ??= Promise.all(["pieces", "views"].map(styledBy));
    await styled;
    views[name] = await LATER[name]();
  }
  return views[name];
}

/** The view that the address names, `#history`, or `#receipts/88200`. Until it is there, the last one lives on. */
async function showView(account, signal) {
  const mine = ++turn, {hash} = location;
  const [, asked, about] = /^#(\w*)\/?(.*)/.exec(hash) ?? [];
  const name = Object.hasOwn(LATER, asked) ? asked : "bet";
  try {
    const {show} = await viewOf(name);
    if (mine !== turn || signal.aborted) return;
    shownNow.abort();
    [shownNow, shownHash] = [new AbortController(), hash];
    for (const link of byId("views").querySelectorAll("a")) {
      link.toggleAttribute("aria-current", link.hash === `#${name}`);
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    }
    fill(main);
    await show(main, account, {about, signal: shownNow.signal});
  } catch {
    if (mine !== turn || signal.aborted) return;
    history.replaceState(null, "", location.pathname + shownHash); // else the same link leads nowhere
    main.prepend(trouble);
  }
}

function showFunds({funds}) {
  if (funds === null) return;
  byId("available").textContent = shown(funds.available, funds.currency);
  byId("balance").textContent = shown(funds.balance, funds.currency);
  byId("held").textContent = shown(funds.held, funds.currency);
  byId("held-too").hidden = funds.held === 0;
}

/** Somebody is here, until he is not: resolves to why, in words. */
async function lived(session) {
  const over = new AbortController();
  const {signal} = over;
  const account = new Account(session);
  let isLeaving = false, logOut;
  const ended = new Promise((resolve) => {
    session.onEnd = resolve;
    logOut = () => {
      isLeaving = true;
      session.logOut().then(resolve);
    };
  });
  byId("log-out").addEventListener("click", logOut, {signal});
  account.addEventListener("funds", () => showFunds(account), {signal});
  account.addEventListener("link", () => {
    fill(byId("link"), account.isOpen ? null : state("grey.live", "Connecting…"));
  }, {signal});
  fill(byId("door"), el("div.door.wait.stack", {}, el("p.soft", {role: "status"}, "Connecting…"),
    el("button.quiet", {onclick: logOut}, "Log out")));
  try {
    const why = await Promise.race([account.begin(), ended]);
    if (why !== undefined) return why;
    fill(byId("door"));
    byId("number").textContent = session.userId;
    showFunds(account);
    byId("home").hidden = false;
    addEventListener("hashchange", () => {
      showView(account, signal);
      main.focus();
      scrollTo(0, 0);
    }, {signal});
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) account.look().catch(() => {});
    }, {signal});
    showView(account, signal);
    return await ended;
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error;
    return isLeaving ? ended : Promise.race([ended, error.message]); // the session may have said why
  } finally {
    over.abort();
    shownNow.abort();
    shownHash = "";
    account.close();
    byId("home").hidden = true;
    fill(main);
    document.querySelectorAll("dialog").forEach((dialog) => dialog.remove()); // nobody is there to confirm
  }
}

/** Somebody who has no wallet: until he has logged out. */
function turnedAway(session) {
  return new Promise((resolve) => {
    session.onEnd = resolve;
    fill(byId("door"), el("div.door.stack", {},
      el("h1", {}, "No wallet here"),
      el("p", {}, `You are logged in as ${session.role}: `, el("a", {href: "/operator"}, "the operator's page"), "."),
      el("button.quiet", {onclick: () => session.logOut().then(resolve)}, "Log out")));
  });
}

/** Who was here before; null: nobody. Asks until the server has an answer. */
async function resumed() {
  for (;;) {
    try {
      return await Session.resumed();
    } catch (error) {
      fill(byId("door"), el("p.door.soft", {role: "status"}, inWords(error)));
      await new Promise((resolve) => { setTimeout(resolve, TRY_AGAIN_MS); });
    }
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
let session = await resumed();
for (let why = ""; ; session = null) {
  session ??= await letIn(byId("door"), {
    title: "Your wallet", text: "A bet is shown green when its money has moved in the books, and not before.", why,
    mayRegister: true,
  });
  why = await (session.role === "player" ? lived(session) : turnedAway(session));
  announce(why);
}
