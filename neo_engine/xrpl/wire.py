"""The shapes of the server's messages and of a recording's lines, exactly the fields we read.

Decoding is typed: a field of the wrong type or a missing required one is refused by `msgspec` with
its path, and every field that is not named here is skipped without being built, which is most of
the speed. Names are the ledger's own and stand in alphabetical order, as the server sends them
(the decoder looks for a key from where the last one was found).

All shapes follow API version 2 (xrpl.org, "Subscribe", "Ledger Entry Types", "Transaction Metadata").
"""

from __future__ import annotations

import msgspec

RAW_EMPTY = msgspec.Raw(b"")


class Token(msgspec.Struct, gc=False):
    """An issued amount; `currency` and `issuer` are empty for a multi-purpose token."""

    value: str
    currency: str = ""
    issuer: str = ""


XrpOrToken = str | Token


class AssetName(msgspec.Struct, gc=False):
    """A currency without an amount."""

    currency: str = ""
    issuer: str = ""


class AuthAccount(msgspec.Struct, gc=False):
    """One further account that trades at the discounted fee."""

    Account: str


class AuthAccountEntry(msgspec.Struct, gc=False):
    """The wrapper around each entry of AuthAccounts."""

    AuthAccount: AuthAccount


class AuctionSlot(msgspec.Struct, gc=False):
    """Who holds the pool's discounted fee until `Expiration`."""

    Account: str | None = None
    AuthAccounts: list[AuthAccountEntry] | None = None
    DiscountedFee: int = 0
    Expiration: int = 0


class Fields(msgspec.Struct, gc=False):
    """The fields of every ledger entry type we read, in one shape."""

    AMMID: str | None = None
    Account: str | None = None
    Asset: AssetName | None = None
    Asset2: AssetName | None = None
    AuctionSlot: AuctionSlot | None = None
    Balance: XrpOrToken | None = None
    BaseFeeDrops: str | None = None
    BookDirectory: str = ""
    BookNode: str = "0"
    Expiration: int | None = None
    Flags: int = 0
    HighLimit: Token | None = None
    LowLimit: Token | None = None
    OwnerCount: int = 0
    OwnerNode: str = "0"
    PreviousTxnID: str | None = None
    ReserveBaseDrops: str | None = None
    ReserveIncrementDrops: str | None = None
    Sequence: int = 0
    TakerGets: XrpOrToken | None = None
    TakerPays: XrpOrToken | None = None
    TickSize: int | None = None
    TradingFee: int = 0
    TransferRate: int | None = None


class PreviousFields(msgspec.Struct, gc=False):
    """The old values of what changed, of the fields whose old value we read."""

    Balance: XrpOrToken | None = None
    TakerGets: XrpOrToken | None = None
    TakerPays: XrpOrToken | None = None


class NodeBody(msgspec.Struct, gc=False):
    """One ledger entry in metadata."""

    LedgerEntryType: str
    LedgerIndex: str
    FinalFields: Fields | None = None
    NewFields: Fields | None = None
    PreviousFields: PreviousFields | None = None
    PreviousTxnID: str | None = None


class Node(msgspec.Struct, gc=False):
    """One of AffectedNodes: exactly one of the three is set."""

    CreatedNode: NodeBody | None = None
    DeletedNode: NodeBody | None = None
    ModifiedNode: NodeBody | None = None


class Meta(msgspec.Struct, gc=False):
    """What a transaction did."""

    AffectedNodes: list[Node]
    TransactionIndex: int
    TransactionResult: str
    DeliveredAmount: XrpOrToken | None = None
    delivered_amount: XrpOrToken | None = None


class TxJson(msgspec.Struct, gc=False):
    """What a transaction asked for."""

    Account: str
    Fee: str
    TransactionType: str
    Amount: XrpOrToken | None = None
    DeliverMax: XrpOrToken | None = None
    DeliverMin: XrpOrToken | None = None
    Destination: str | None = None
    Expiration: int | None = None
    Flags: int = 0
    OfferSequence: int | None = None
    Paths: msgspec.Raw = RAW_EMPTY
    SendMax: XrpOrToken | None = None
    Sequence: int = 0
    TakerGets: XrpOrToken | None = None
    TakerPays: XrpOrToken | None = None
    TicketSequence: int | None = None


class TransactionMessage(msgspec.Struct, gc=False):
    """One message of the `transactions` or `accounts` stream."""

    hash: str
    meta: Meta
    tx_json: TxJson
    ledger_index: int = 0
    validated: bool = False


class LedgerClosed(msgspec.Struct, gc=False):
    """One `ledgerClosed` message. ledger_time: seconds since 2000-01-01; fees and reserves in drops."""

    fee_base: int
    ledger_hash: str
    ledger_index: int
    ledger_time: int
    reserve_base: int
    reserve_inc: int
    txn_count: int = 0
    validated_ledgers: str = ""


class LedgerLine(msgspec.Struct, gc=False):
    """One line of a recording: a validated ledger with its transactions and undecoded check data."""

    ledger: LedgerClosed
    transactions: list[TransactionMessage]
    type: str = "ledger"
    asks: msgspec.Raw = RAW_EMPTY
    bids: msgspec.Raw = RAW_EMPTY
    amm: msgspec.Raw = RAW_EMPTY
    accounts: msgspec.Raw = RAW_EMPTY


class HeaderAsset(msgspec.Struct):
    """A currency of the header's pair."""

    currency: str
    issuer: str | None = None


class HeaderPair(msgspec.Struct):
    """The header's pair: base is XRP."""

    base: HeaderAsset
    quote: HeaderAsset


class StartLedger(msgspec.Struct):
    """The ledger whose state the header carries."""

    ledger_index: int
    ledger_hash: str
    close_time: int


class StateEntry(Fields):
    """One ledger entry of the header's state (a `ledger_data` object)."""

    LedgerEntryType: str = ""
    index: str = ""
    Indexes: list[str] | None = None
    IndexNext: str | None = None
    IndexPrevious: str | None = None
    RootIndex: str | None = None
    ExchangeRate: str | None = None
    PreviousTxnLgrSeq: int = 0


class HeaderLine(msgspec.Struct):
    """The first line of a recording. complete: `state` holds every entry of its ledger."""

    type: str
    pair: HeaderPair
    start_ledger: StartLedger
    state: list[StateEntry]
    build_version: str = ""
    accounts: dict[str, str] = {}
    watched: list[str] = []
    complete: bool = True


class BookLine(msgspec.Struct, gc=False):
    """One offer of a `book_offers` answer."""

    Account: str
    BookDirectory: str
    Sequence: int
    TakerGets: XrpOrToken
    TakerPays: XrpOrToken
    index: str
    BookNode: str = "0"
    Expiration: int | None = None
    Flags: int = 0
    OwnerNode: str = "0"
    PreviousTxnID: str = ""
    PreviousTxnLgrSeq: int = 0
    owner_funds: str | None = None
    quality: str = ""
    taker_gets_funded: XrpOrToken | None = None
    taker_pays_funded: XrpOrToken | None = None


class AmmSlotAccount(msgspec.Struct, gc=False):
    """One entry of the auction slot's auth_accounts."""

    account: str


class AmmSlot(msgspec.Struct, gc=False):
    """The auction slot in an `amm_info` answer; expiration is an ISO time."""

    account: str
    discounted_fee: int = 0
    expiration: str = ""
    auth_accounts: list[AmmSlotAccount] | None = None


class AmmInfo(msgspec.Struct, gc=False):
    """An `amm_info` answer: amount is XRP, amount2 the token."""

    account: str
    amount: XrpOrToken
    amount2: XrpOrToken
    trading_fee: int
    auction_slot: AmmSlot | None = None


class AccountData(msgspec.Struct, gc=False):
    """The AccountRoot in an `account_info` answer."""

    Account: str
    Balance: str
    Flags: int
    OwnerCount: int
    Sequence: int


class AccountLine(msgspec.Struct, gc=False):
    """One trust line of an `account_lines` answer, from the account's own view."""

    account: str
    balance: str
    currency: str


class AccountOffer(msgspec.Struct, gc=False):
    """One offer of an `account_offers` answer."""

    flags: int
    quality: str
    seq: int
    taker_gets: XrpOrToken
    taker_pays: XrpOrToken
    expiration: int | None = None


class WatchedAccount(msgspec.Struct, gc=False):
    """What a recording keeps of a watched account after a ledger."""

    account_data: AccountData
    lines: list[AccountLine]
    offers: list[AccountOffer]


line_decoder = msgspec.json.Decoder(LedgerLine)
header_decoder = msgspec.json.Decoder(HeaderLine)
transaction_decoder = msgspec.json.Decoder(TransactionMessage)
book_decoder = msgspec.json.Decoder(list[BookLine])
amm_decoder = msgspec.json.Decoder(AmmInfo)
accounts_decoder = msgspec.json.Decoder(dict[str, WatchedAccount])
