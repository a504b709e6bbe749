"""What the server refuses, and how it says so: token, number, text and HTTP status of every error.

Source: rippled ErrorCodes.h and ErrorCodes.cpp; the texts are those a server of version 3.1.1 sends. Two
kinds of token exist. Those of `ERRORS` always carry a number and a text. Those of `PLAIN` are told by
older or special code: some carry nothing but the token, some borrow the number of invalidParams.

A command raises `RpcError`; the dispatcher makes the reply of it, so that no command has to know whether
it was asked over a WebSocket or by HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from neo_engine.domain.errors import InvariantViolation, NeoError


class ErrorInfo(NamedTuple):
    """code: its number. message: the text unless a command has a better one. status: of HTTP, ripplerpc 3."""

    code: int
    message: str
    status: int = 200


ERRORS: dict[str, ErrorInfo] = {
    "badSyntax": ErrorInfo(1, "Syntax error.", 400),
    "forbidden": ErrorInfo(3, "Bad credentials.", 403),
    "wrongNetwork": ErrorInfo(4, "Wrong network.", 503),
    "noPermission": ErrorInfo(6, "You don't have permission for this command.", 401),
    "noEvents": ErrorInfo(7, "Current transport does not support events.", 405),
    "tooBusy": ErrorInfo(9, "The server is too busy to help you now.", 503),
    "slowDown": ErrorInfo(10, "You are placing too much load on the server.", 429),
    "highFee": ErrorInfo(11, "Current transaction fee exceeds your limit.", 402),
    "notEnabled": ErrorInfo(12, "Not enabled in configuration.", 501),
    "notReady": ErrorInfo(13, "Not ready to handle this request.", 503),
    "amendmentBlocked": ErrorInfo(14, "Amendment blocked, need upgrade.", 503),
    "noClosed": ErrorInfo(15, "Closed ledger is unavailable.", 503),
    "noCurrent": ErrorInfo(16, "Current ledger is unavailable.", 503),
    "noNetwork": ErrorInfo(17, "Not synced to the network.", 503),
    "notSynced": ErrorInfo(18, "Not synced to the network.", 503),
    "actNotFound": ErrorInfo(19, "Account not found."),
    "lgrNotFound": ErrorInfo(21, "Ledger not found.", 404),
    "lgrNotValidated": ErrorInfo(22, "Ledger not validated.", 202),
    "masterDisabled": ErrorInfo(23, "Master key is disabled.", 403),
    "txnNotFound": ErrorInfo(29, "Transaction not found.", 404),
    "invalidHotWallet": ErrorInfo(30, "Invalid hotwallet.", 400),
    "invalidParams": ErrorInfo(31, "Invalid parameters.", 400),
    "unknownCmd": ErrorInfo(32, "Unknown method.", 405),
    "noPathRequest": ErrorInfo(33, "No pathfinding request in progress.", 404),
    "actMalformed": ErrorInfo(35, "Account malformed."),
    "badFeature": ErrorInfo(40, "Feature unknown or invalid.", 500),
    "badIssuer": ErrorInfo(41, "Issuer account malformed.", 400),
    "badMarket": ErrorInfo(42, "No such market.", 404),
    "badSecret": ErrorInfo(43, "Secret does not match account.", 403),
    "badSeed": ErrorInfo(44, "Disallowed seed.", 403),
    "commandMissing": ErrorInfo(47, "Missing command entry.", 400),
    "dstActMalformed": ErrorInfo(48, "Destination account is malformed.", 400),
    "dstActMissing": ErrorInfo(49, "Destination account not provided.", 400),
    "dstActNotFound": ErrorInfo(50, "Destination account not found.", 404),
    "dstAmtMalformed": ErrorInfo(51, "Destination amount/currency/issuer is malformed.", 400),
    "dstAmtMissing": ErrorInfo(52, "Destination amount/currency/issuer is missing.", 400),
    "dstIsrMalformed": ErrorInfo(53, "Destination issuer is malformed.", 400),
    "lgrIdxsInvalid": ErrorInfo(57, "Ledger indexes invalid.", 400),
    "lgrIdxMalformed": ErrorInfo(58, "Ledger index malformed.", 400),
    "publicMalformed": ErrorInfo(62, "Public key is malformed.", 400),
    "signingMalformed": ErrorInfo(63, "Signing of transaction is malformed.", 400),
    "sendMaxMalformed": ErrorInfo(64, "SendMax amount malformed.", 400),
    "srcActMalformed": ErrorInfo(65, "Source account is malformed.", 400),
    "srcActMissing": ErrorInfo(66, "Source account not provided.", 400),
    "srcActNotFound": ErrorInfo(67, "Source account not found.", 404),
    "srcCurMalformed": ErrorInfo(69, "Source currency is malformed.", 400),
    "srcIsrMalformed": ErrorInfo(70, "Source issuer is malformed.", 400),
    "malformedStream": ErrorInfo(71, "Stream malformed.", 400),
    "internal": ErrorInfo(73, "Internal error.", 500),
    "notImpl": ErrorInfo(74, "Not implemented.", 501),
    "notSupported": ErrorInfo(75, "Operation not supported.", 501),
    "badKeyType": ErrorInfo(76, "Bad key type.", 400),
    "excessiveLgrRange": ErrorInfo(78, "Ledger range exceeds 1000.", 400),
    "invalidLgrRange": ErrorInfo(79, "Ledger range is invalid.", 400),
    "objectNotFound": ErrorInfo(92, "The requested object was not found.", 404),
    "issueMalformed": ErrorInfo(93, "Issue is malformed.", 400),
    "transactionSigned": ErrorInfo(96, "Transaction should not be signed.", 400),
    "domainMalformed": ErrorInfo(97, "Domain is malformed.", 400),
    "entryNotFound": ErrorInfo(98, "Entry not found.", 400),
    "unexpectedLedgerType": ErrorInfo(99, "Unexpected ledger type.", 400),
}

#: Tokens without a row of their own in the server's table.
PLAIN = frozenset(
    {
        *("invalidTransaction", "invalid_API_version", "jsonInvalid", "missingCommand", "unknownOption"),
        *("malformedAddress", "malformedCurrency", "malformedDirRoot", "malformedOwner", "malformedRequest"),
        *("malformedSeq",),
    }
)
INVALID_PARAMS = ERRORS["invalidParams"].code


class RpcError(NeoError):
    """A request refused. fields: what the reply carries besides; message, code: instead of the table's.

    Raises InvariantViolation for a token that no server knows.
    """

    def __init__(
        self,
        token: str,
        message: str | None = None,
        *,
        code: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        info = ERRORS.get(token)
        if info is None and token not in PLAIN:
            raise InvariantViolation(f"error {token!r} is not in the table of errors")
        self.token = token
        self.code = code if info is None else info.code
        self.message = info.message if info is not None and message is None else message
        self.fields = dict(fields or {})
        super().__init__(f"{token}: {self.message}")

    def body(self) -> dict[str, Any]:
        """Return the fields of the reply that tell the error."""
        told: dict[str, Any] = {**self.fields, "error": self.token}
        if self.code is not None:
            told["error_code"] = self.code
        if self.message is not None:
            told["error_message"] = self.message
        return told


def invalid_params(message: str) -> RpcError:
    """Return invalidParams with a text of its own."""
    return RpcError("invalidParams", message)


def missing_field(name: str) -> RpcError:
    """Return the error for a field that is not there."""
    return invalid_params(f"Missing field '{name}'.")


def invalid_field(name: str) -> RpcError:
    """Return the error for a field whose value cannot be used."""
    return invalid_params(f"Invalid field '{name}'.")


def expected_field(name: str, kind: str) -> RpcError:
    """Return the error for a field of another type than `kind`."""
    return invalid_params(f"Invalid field '{name}', not {kind}.")
