// Looking for a player, and the statement of the one who was chosen.

import {byId, el, fill} from "../shared/dom.js";
import {shown} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {closeStatement, showStatement} from "./statement.js";
import {closeTrail, showTrail} from "./trail.js";

const TYPED_MS = 250; // nobody types slower than this within a word
const BET_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Look for them, for as long as somebody is here. Gives a function that ends it.
 *
 * @param {import("./main.js").Room} room
 */
export function showPlayers(room) {
  const input = byId("search"), found = byId("found");
  let timer, last = "";

  async function look() {
    clearTimeout(timer);
    const text = input.value.trim();
    if (text === last) return;
    last = text;
    fill(byId("found-note"));
    if (text === "") return fill(found);
    try {
      if (BET_ID.test(text)) return await showTrail(room, text.toLowerCase()); // as it is kept
      const {items, more} = await room.session.ask("/v1/players", {query: {text}});
      if (text !== last) return; // somebody has typed on
      const some = more ? `The first ${items.length}. Type more of the name for others.` : "";
      byId("found-note").textContent = items.length === 0 ? `Nobody is called “${text}”.` : some;
      fill(found, el("ul.found", {}, items.map((player) => el("li", {},
        el("button.quiet", {onclick: () => choose(player)},
          el("span", {}, player.username ?? `Wallet ${player.user_id}`),
          el("span.soft.small", {}, `№ ${player.user_id}${player.status === "open" ? "" : `, ${player.status}`}`),
          el("span.amount", {}, shown(player.balance, player.currency)))))));
    } catch (error) {
      if (text !== last) return;
      last = "";
      fill(found, el("p.note.red", {role: "alert"}, inWords(error)));
    }
  }

  function choose(player) {
    closeTrail();
    return showStatement(room, player.user_id, player.username);
  }

  byId("find").onsubmit = (event) => {
    event.preventDefault();
    last = "";
    look();
  };
  input.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(look, TYPED_MS);
  };
  return () => {
    clearTimeout(timer);
    last = null; // what is still under way is not shown
    input.value = "";
    closeStatement();
    closeTrail();
  };
}
