"""feature: the rule changes (amendments) the server knows, and which of them are in force.

Source: the list of a server of version 3.1.1 with the rules of the main network in early 2026. An
amendment's id is the first half of the SHA-512 of its name (rippled Feature.cpp).
"""

from __future__ import annotations

from typing import Any

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amendments import AMENDMENTS
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import is_hash
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.formats import Json

#: Those in force.
ENABLED = frozenset(
    {
        *("AMM", "AMMClawback", "CheckCashMakesTrustLine", "Checks", "Clawback", "Credentials", "DID"),
        *("DeepFreeze", "DeletableAccounts", "DepositAuth", "DepositPreauth", "DisallowIncoming"),
        *("DynamicNFT", "ExpandedSignerList", "Flow", "FlowSortStrands", "HardenedValidations"),
        *("ImmediateOfferKilled", "MPTokensV1", "MultiSignReserve", "NFTokenMintOffer", "NegativeUNL"),
        *("NonFungibleTokensV1_1", "PermissionedDEX", "PermissionedDomains", "PriceOracle"),
        *("RequireFullyCanonicalSig", "TicketBatch", "TokenEscrow", "XChainBridge", "XRPFees", "fix1513"),
        *("fix1515", "fix1543", "fix1571", "fix1578", "fix1623", "fix1781", "fixAMMClawbackRounding"),
        *("fixAMMOverflowOffer", "fixAMMv1_1", "fixAMMv1_2", "fixAMMv1_3", "fixAmendmentMajorityCalc"),
        *("fixCheckThreading", "fixDirectoryLimit", "fixDisallowIncomingV1", "fixEmptyDID"),
        *("fixEnforceNFTokenTrustline", "fixEnforceNFTokenTrustlineV2", "fixFillOrKill"),
        *("fixFrozenLPTokenTransfer", "fixIncludeKeyletFields", "fixInnerObjTemplate"),
        *("fixInnerObjTemplate2", "fixInvalidTxFlags", "fixMPTDeliveredAmount"),
        *("fixMasterKeyAsRegularKey", "fixNFTokenPageLinks", "fixNFTokenRemint", "fixNFTokenReserve"),
        *("fixNonFungibleTokensV1_2", "fixPayChanCancelAfter", "fixPayChanRecipientOwnerDir"),
        *("fixPreviousTxnID", "fixPriceOracleOrder", "fixQualityUpperBound", "fixReducedOffersV1"),
        *("fixReducedOffersV2", "fixRemoveNFTokenAutoTrustLine", "fixRmSmallIncreasedQOffers"),
        *("fixSTAmountCanonicalize", "fixTakerDryOfferRemoval", "fixTokenEscrowV1"),
        *("fixTrustLinesToSelf", "fixUniversalNumber", "fixXChainRewardRounding"),
    }
)
#: Those that were never needed, or whose code became the only rule.
OBSOLETE = frozenset(
    {
        *("CryptoConditions", "CryptoConditionsSuite", "EnforceInvariants", "Escrow", "FeeEscalation"),
        *("FlowCross", "MultiSign", "NonFungibleTokensV1", "PayChan", "SortedDirectories", "TickSize"),
        *("TrustSetAuth", "fix1201", "fix1368", "fix1373", "fix1512", "fix1523", "fix1528"),
        *("fixNFTokenDirV1", "fixNFTokenNegOffer"),
    }
)
#: Those the server votes against.
VETOED = frozenset({"LendingProtocol", "SingleAssetVault"})


def amendment_id(name: str) -> str:
    """Return an amendment's id."""
    return keys.half(name.encode("ascii")).hex().upper()


IDS = {amendment_id(name): name for name in sorted(ENABLED | OBSOLETE | VETOED)}


def feature(call: Call) -> Json:
    """Return all amendments, or the one named by name or id. Raises RpcError for an unknown one."""
    if "feature" not in call.params:
        return {"features": {index: _told(call, index) for index in sorted(IDS)}}
    value = call.params["feature"]
    if not isinstance(value, str):
        raise RpcError("invalidParams")
    index = amendment_id(value) if value.isascii() and value in IDS.values() else value.upper()
    if not is_hash(index) or index not in IDS:
        raise RpcError("badFeature")
    if "vetoed" in call.params and not call.admin:
        raise RpcError("noPermission")
    return {index: _told(call, index)}


def _told(call: Call, index: str) -> dict[str, Any]:
    name = IDS[index]
    told: dict[str, Any] = {"enabled": index in AMENDMENTS, "name": name, "supported": True}
    if call.admin and name not in ENABLED:
        told["vetoed"] = "Obsolete" if name in OBSOLETE else True
    return told
