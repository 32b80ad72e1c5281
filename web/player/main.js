// The player's page: who is here, and then what he sees.

import {byId} from "../shared/dom.js";
import {letIn} from "../shared/door.js";
import {Session} from "../shared/session.js";

const main = byId("main");
const session = await Session.resumed() ?? await letIn(main, {
  title: "Your wallet", text: "Every bet is in the books before it is shown green.", mayRegister: true,
});
main.textContent = `Wallet ${session.userId}`;
