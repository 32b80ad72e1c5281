// The player's page: who is here, what he has, and one view after the other.

import {GivenUp} from "../client/solidgreen.js";
import {announce, byId, el, fill, state} from "../shared/dom.js";
import {letIn} from "../shared/door.js";
import {shown} from "../shared/money.js";
import {Session} from "../shared/session.js";
import {inWords} from "../shared/words.js";
import {Account} from "./account.js";

const VIEWS = {
  bet: () => import("./bet.js"),
  history: () => import("./history.js"),
  statement: () => import("./statement.js"),
  send: () => import("./send.js"),
  receipts: () => import("./receipts.js"),
  limits: () => import("./limits.js"),
};
const TRY_AGAIN_MS = 2000;

const main = byId("main");
/** Ends what the view that is shown now listens to. */
let shownNow = new AbortController();

/** The view that the address names, `#history`, or `#receipts/88200`. */
async function showView(account, signal) {
  shownNow.abort();
  shownNow = new AbortController();
  const mine = shownNow;
  const [, asked, about] = /^#(\w*)\/?(.*)/.exec(location.hash) ?? [];
  const name = asked in VIEWS ? asked : "bet";
  for (const link of byId("views").querySelectorAll("a")) {
    link.toggleAttribute("aria-current", link.hash === `#${name}`);
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
  }
  const {show} = await VIEWS[name]();
  if (mine.signal.aborted || signal.aborted) return;
  fill(main);
  await show(main, account, {about, signal: mine.signal});
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
  const ended = new Promise((resolve) => {
    session.onEnd = resolve;
    byId("log-out").addEventListener("click", () => {
      session.logOut().then(() => resolve("You have logged out."),
        () => resolve("The server could not be told that you log out. Log in and out again to be sure."));
    }, {signal});
  });
  account.addEventListener("funds", () => showFunds(account), {signal});
  account.addEventListener("link", () => {
    fill(byId("link"), account.isOpen ? null : state("grey.live", "Connecting…"));
  }, {signal});
  try {
    await account.begin();
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
    await showView(account, signal);
    return await ended;
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error;
    return Promise.race([ended, error.message]); // the session may have said why
  } finally {
    over.abort();
    shownNow.abort();
    account.close();
    byId("home").hidden = true;
    fill(main);
  }
}

/** Somebody who has no wallet: until he has logged out. */
function turnedAway(session) {
  return new Promise((resolve) => {
    session.onEnd = resolve;
    const logOut = () => session.logOut()
      .then(() => resolve("You have logged out."), (error) => fill(note, inWords(error)));
    const note = el("p.note.red", {role: "alert"});
    fill(byId("door"), el("div.door.stack", {},
      el("h1", {}, "No wallet here"),
      el("p", {}, `You are logged in as ${session.role}: `, el("a", {href: "/operator"}, "the operator's page"), "."),
      note, el("button.quiet", {onclick: logOut}, "Log out")));
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

let session = await resumed();
for (let why = ""; ; session = null) {
  session ??= await letIn(byId("door"), {
    title: "Your wallet", text: "A bet is shown green when its money has moved in the books, and not before.", why,
    mayRegister: true,
  });
  why = await (session.role === "player" ? lived(session) : turnedAway(session));
  announce(why);
}
