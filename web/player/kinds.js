// What moves money, in a player's words.

export const KINDS = {
  BET: "Stakes",
  WIN: "Winnings",
  LOSS: "Lost",
  REFUND: "Stakes given back",
  ROLLBACK: "Bets undone",
  UNSETTLE: "Results taken back",
  CASHOUT: "Cashed out",
  DEPOSIT: "Paid in",
  WITHDRAWAL: "Paid out",
  CAPTURE: "Taken from what was set aside",
  TRANSFER: "Transfer",
  SENT: "Sent to players",
  RECEIVED: "Received from players",
  FEE: "Fees",
  TAX: "Taxes",
  PAYOUT: "Prizes",
  BONUS: "Bonus",
  EXPIRY: "Bonus that has expired",
  RECEIVABLE: "Owed to the house",
  SUSPENSE: "Held back",
};

/** Under which of them an entry is summed up: a transfer by its direction. */
export const groupOf = ({kind, amount}) => (kind === "TRANSFER" ? (amount < 0 ? "SENT" : "RECEIVED") : kind);
