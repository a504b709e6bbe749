// A maker's and a taker's whole life with an unmodified xrpl.js.
//
//   node tests/js/life.mjs WEBSOCKET_URL FAUCET_HOST ISSUER_SEED
//
// WEBSOCKET_URL: of the server. FAUCET_HOST: its host:port for HTTP. Prints one JSON object: what each step
// came to, and what was seen. The package is found beside this file or in a folder of NODE_PATH.

import { createRequire } from 'node:module'

const { Client, Wallet, ECDSA, dropsToXrp, xrpToDrops } = createRequire(import.meta.url)('xrpl')

const [url, faucetHost, issuerSeed] = process.argv.slice(2)
const RLUSD = '524C555344000000000000000000000000000000'
const MAKER_SEED = 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2'
const TAKER_SEED = 'sEdSKaCy2JT7JaM7v95H9SxkhP9wS2r'
const IMMEDIATE_OR_CANCEL = 0x00020000
const SELL = 0x00080000

const steps = {}
const seen = { ledgers: 0, transactions: 0 }
const issuer = Wallet.fromSeed(issuerSeed, { algorithm: ECDSA.secp256k1 })
const maker = Wallet.fromSeed(MAKER_SEED)
const taker = Wallet.fromSeed(TAKER_SEED)
const token = (value) => ({ currency: RLUSD, issuer: issuer.address, value })

const client = new Client(url)
client.on('ledgerClosed', () => { seen.ledgers += 1 })
client.on('transaction', () => { seen.transactions += 1 })

async function send(name, wallet, transaction) {
  const prepared = await client.autofill({ Account: wallet.address, ...transaction })
  const done = await client.submitAndWait(prepared, { wallet })
  const { meta, tx_json: sent, validated } = done.result
  if (!validated) throw new Error(`${name}: not validated`)
  steps[name] = meta.TransactionResult
  return { meta, sequence: sent.Sequence || sent.TicketSequence }
}

async function offers(wallet) {
  const reply = await client.request({ command: 'account_offers', account: wallet.address, ledger_index: 'validated' })
  return reply.result.offers.map((offer) => offer.seq).sort((one, other) => one - other)
}

async function setUp() {
  const faucet = { faucetHost, faucetPath: '/accounts', faucetProtocol: 'http' }
  await client.fundWallet(maker, faucet)
  await client.fundWallet(taker, faucet)
  await client.request({ command: 'subscribe', streams: ['ledger'], accounts: [maker.address, taker.address] })
  for (const [name, wallet] of [['maker', maker], ['taker', taker]]) {
    await send(`trust ${name}`, wallet, { TransactionType: 'TrustSet', LimitAmount: token('1000000') })
    await send(`issue ${name}`, issuer, { TransactionType: 'Payment', Destination: wallet.address, Amount: token('5000') })
  }
}

async function quote() {
  const ask = await send('ask', maker, {
    TransactionType: 'OfferCreate', TakerGets: xrpToDrops(20), TakerPays: token('50'), Flags: SELL,
  })
  await send('bid', maker, { TransactionType: 'OfferCreate', TakerGets: token('40'), TakerPays: xrpToDrops(20) })
  const replaced = await send('replace', maker, {
    TransactionType: 'OfferCreate', TakerGets: xrpToDrops(20), TakerPays: token('48'), Flags: SELL,
    OfferSequence: ask.sequence,
  })
  const book = await client.getOrderbook({ currency: 'XRP' }, { currency: RLUSD, issuer: issuer.address })
  return { replaced: replaced.sequence, sells: book.sell.length, buys: book.buy.length }
}

async function take() {
  const taking = { TransactionType: 'OfferCreate', Flags: IMMEDIATE_OR_CANCEL }
  await send('partial fill', taker, { ...taking, TakerPays: xrpToDrops(5), TakerGets: token('12.5') })
  await send('kill', taker, { ...taking, TakerPays: xrpToDrops(5), TakerGets: token('1') })
  await send('hit the bid', taker, { ...taking, TakerGets: xrpToDrops(2), TakerPays: token('3.9') })
}

async function tickets() {
  const made = await send('tickets', maker, { TransactionType: 'TicketCreate', TicketCount: 2 })
  const first = made.sequence + 1
  await send('offer by ticket', maker, {
    TransactionType: 'OfferCreate', TakerGets: xrpToDrops(3), TakerPays: token('9'), Sequence: 0, TicketSequence: first,
  })
  await send('cancel by ticket', maker, {
    TransactionType: 'OfferCancel', OfferSequence: first, Sequence: 0, TicketSequence: first + 1,
  })
}

async function history(wallet) {
  const found = []
  let marker
  do {
    const reply = await client.request({
      command: 'account_tx', account: wallet.address, ledger_index_min: -1, ledger_index_max: -1, limit: 4,
      ...(marker === undefined ? {} : { marker }),
    })
    found.push(...reply.result.transactions.map((one) => one.hash))
    marker = reply.result.marker
  } while (marker !== undefined)
  return found
}

async function life() {
  await client.connect()
  await setUp()
  const quoted = await quote()
  const before = await client.getXrpBalance(taker.address)
  await take()
  const after = await client.getXrpBalance(taker.address)
  await tickets()
  const resting = await offers(maker)
  for (const sequence of resting) {
    await send(`cancel ${resting.indexOf(sequence) + 1}`, maker, { TransactionType: 'OfferCancel', OfferSequence: sequence })
  }
  const hashes = await history(maker)
  const balances = await client.getBalances(maker.address)
  const left = await offers(maker)
  await client.disconnect()
  return {
    steps, seen, quoted, resting: resting.length, left: left.length,
    takerGained: dropsToXrp(Math.round((after - before) * 1e6)),
    makerTokens: balances.find((one) => one.currency === RLUSD).value,
    history: hashes.length, historyOnce: new Set(hashes).size,
  }
}

console.log(JSON.stringify(await life()))
