// The operator's page: who comes in, and what stands in the room.

import {byId, el, fill} from "../shared/dom.js";
import {letIn} from "../shared/door.js";
import {Session} from "../shared/session.js";
import {inWords} from "../shared/words.js";
import {showChecks} from "./checks.js";
import {showFigures} from "./figures.js";
import {Live} from "./live.js";
import {showPayouts} from "./payouts.js";
import {showPlayers} from "./players.js";

const STAFF = ["operator", "auditor", "admin"];
const MOVERS = ["operator", "admin"]; // of them; the server asks again (docs/roles.md)
const ABOUT = {title: "Control room", text: "For operators, auditors and admins of the house."};

/** @typedef {{session: Session, live: Live, mayMove: boolean}} Room  what the panels share */

const door = byId("door"), house = byId("room");

async function come(why = "") {
  house.hidden = true;
  let session;
  try {
    session = why ? null : await Session.resumed();
  } catch (error) {
    why = inWords(error);
  }
  session ??= await letIn(door, {...ABOUT, why});
  if (STAFF.includes(session.role)) enter(session);
  else turnAway(session);
}

/** A player has nothing to do here. His own page is another one. */
function turnAway(session) {
  session.onEnd = come;
  fill(door, el("div.door.stack", {}, el("h1", {}, ABOUT.title),
    el("p.note.red", {role: "alert"}, `You are logged in as a ${session.role}. ${ABOUT.text}`),
    el("a.button", {href: "/"}, "To the player's page"),
    el("button.quiet", {onclick: () => session.logOut().then(come)}, "Log out")));
}

function enter(session) {
  const live = new Live(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, session.tokens());
  const room = {session, live, mayMove: MOVERS.includes(session.role)};
  fill(byId("who"), session.role);
  for (const place of document.querySelectorAll("[data-fresh]")) fill(place); // of whoever was here before
  const ends = [showFigures(live), showPayouts(room), showPlayers(room)];
  showChecks(live);
  house.hidden = false;

  function leave(why) {
    ends.forEach((end) => end());
    live.close();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.remove()); // nobody is there to confirm
    come(why);
  }
  session.onEnd = leave;
  byId("log-out").onclick = () => session.logOut().then(leave);
}

come();
