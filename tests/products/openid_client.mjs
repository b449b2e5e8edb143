// A product on Node, with the certified npm package openid-client: discovery, code with PKCE, userinfo, logout.
// Takes PORT, ISSUER, CLIENT_ID, CLIENT_SECRET from the environment; who is signed in stands at /.

import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import dns from 'node:dns'

// As in browsers, names below localhost lead to the loopback.
const lookup = dns.lookup
dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest)

const { PORT, ISSUER, CLIENT_ID, CLIENT_SECRET, MODULES } = process.env
const client = await import(createRequire(`${MODULES}/`).resolve('openid-client'))
const home = `http://localhost:${PORT}`
let config = null
let begun = null
let session = null

const discovered = async () => {
  config ??= await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
    execute: [client.allowInsecureRequests], // a trial on loopback has no TLS
  })
  return config
}

const pages = {
  '/': async (url, answer) => {
    answer.writeHead(session ? 200 : 401, { 'content-type': 'application/json' })
    answer.end(JSON.stringify(session))
  },
  '/start': async (url, answer) => {
    if (url.searchParams.get('iss') !== ISSUER) throw new Error('another issuer')
    begun = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
    }
    const to = client.buildAuthorizationUrl(await discovered(), {
      redirect_uri: `${home}/return`,
      scope: 'openid profile email',
      code_challenge: await client.calculatePKCECodeChallenge(begun.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: begun.expectedState,
      nonce: begun.expectedNonce,
    })
    answer.writeHead(302, { location: to.href }).end()
  },
  '/return': async (url, answer) => {
    const tokens = await client.authorizationCodeGrant(config, url, begun)
    const claims = tokens.claims()
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    session = { claims, userinfo, accessToken: tokens.access_token, idToken: tokens.id_token }
    answer.writeHead(302, { location: '/' }).end()
  },
  '/userinfo-again': async (url, answer) => {
    try {
      await client.fetchUserInfo(config, session.accessToken, session.claims.sub)
      answer.end('still let in')
    } catch (error) {
      answer.writeHead(401).end(`${error.code} ${error.status ?? error.cause?.status ?? ''}`)
    }
  },
  '/sign-out': async (url, answer) => {
    const to = client.buildEndSessionUrl(config, {
      post_logout_redirect_uri: `${home}/signed-out`,
      id_token_hint: session.idToken,
    })
    session = null
    answer.writeHead(302, { location: to.href }).end()
  },
  '/signed-out': async (url, answer) => answer.end('signed out'),
}

createServer(async (request, answer) => {
  const url = new URL(request.url, home)
  try {
    await (pages[url.pathname] ?? pages['/'])(url, answer)
  } catch (error) {
    console.error(error)
    answer.writeHead(403).end(`${error.name} ${error.code ?? ''} ${error.error ?? ''} ${error.message}`)
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${PORT}`))
