// One key a line, the same keys in each language: a test compares them.
export default {
  live: 'Live',
  paused: 'Paused',
  reconnecting: 'Connection lost',
  perSecond: '/s',
  views: {
    notifications: 'Notifications',
    forwarding: 'Forwarding',
  },
  alarm: 'A destination needs attention',
  ready: 'Ready',
  notReady: 'Not ready',
  arrivals: 'Arrivals',
  answerTime: 'Answer time',
  refusals: 'Refused',
  subscriptions: 'Subscriptions',
  noneYet: 'None has brought anything yet',
  inTheLastHour: (n) => `${n} in the last hour`,
  p50p99: 'median · 99th percentile',
  signed: 'signed by MNS',
  strangers: 'not from MNS',
  backingOff: 'MNS is probably backing off',
  searchPlaceholder: 'Search, or topic:orders reason:signature_wrong before:10:40',
  search: 'Search',
  segments: {
    all: 'All',
    accepted: 'Accepted',
    refused: 'Refused',
    duplicates: 'Duplicates',
  },
  outcomes: {
    accepted: 'Accepted',
    duplicate: 'Duplicate',
    remark: 'Accepted with a remark',
    refused: 'Refused',
    deferred: 'Deferred',
    recovered: 'Recovered',
    other: 'Not from MNS',
  },
  showStrangers: (n) => `${n} not from MNS hidden`,
  hideStrangers: (n) => `${n} not from MNS`,
  pause: 'Pause',
  resume: 'Resume',
  newer: (n) => `${n} new`,
  gap: (n) => `${n} not listed: load`,
  time: 'Time',
  from: 'Topic and subscription',
  message: 'Message',
  size: 'Size',
  took: 'Took',
  skipped: (n, s) =>
    `${n} notifications of the last ${s} s are not listed. All of them are in the log. `
      + `Filter to see each one.`,
  nothingFound: 'No notification matches',
  tryOther: 'Remove a word or widen the time range. Memory and all log files were searched.',
  searchingBack: 'Searching the log files',
  searchHolds: 'Searched the log files',
  searchDone: (all) => `Searched all ${all}`,
  searchedTo: (when, done, all, found) => `back to ${when} · ${done} of ${all} · ${found} found`,
  stop: 'Stop',
  searchOn: 'Search on',
  emptyTitle: 'Waiting for the first notification',
  emptyText:
    'Give this address to a subscription, or send a test push from a shell. It appears here '
      + 'at once.',
  emptyAddress: 'Address of this endpoint',
  emptyTest:
    'A test push, signed as MNS signs; serve must trust it: --trust http://127.0.0.1:9001/',
  emptySubscribe: 'A subscription',
  tabs: {
    message: 'Message',
    request: 'Request',
    checks: 'Checks',
    deliveries: 'Deliveries',
  },
  joint: '. ',
  claimed: 'claimed, not verified',
  version: 'Version',
  running: (t) => `running for ${t}`,
  acceptedLine: (t) => `On disk. Answered 201${t && ` after ${t}`}`,
  duplicateLine: 'Already on disk. Answered 201 again',
  refusedLine: (s) => `Answered ${s}. If MNS sent it, MNS will retry`,
  deferredLine: (t) => `Answered 503${t && ` after ${t}`}. MNS will retry`,
  recoveredLine: 'Refused by mistake, then recovered with logs recover',
  otherLine: (s) => `Answered ${s}. The request has no x-mns headers`,
  copyCurl: 'Copy as curl',
  copied: 'Copied',
  copy: 'Copy',
  copyByHand: 'Copy this text',
  download: 'Download',
  replay: 'Replay…',
  copyLink: 'Copy link',
  copyMessage: 'Copy message',
  close: 'Close',
  backToList: 'Back to the list',
  pretty: 'Readable',
  asPublished: 'As published',
  decoded: 'Decoded',
  hexView: 'Hex',
  wrap: 'Wrap lines',
  kindText: 'text',
  kindBytes: 'bytes',
  moreLines: (n) => `${n} more lines: download to see all`,
  noMessage: 'No message can be read from this request. The Request tab shows its body.',
  gone: 'This notification is no longer in the log files.',
  leftOut: {
    request:
      'The log does not have all of this request. To keep requests set logs.request = "full". '
        + 'What the notification said is in the Message tab.',
    body:
      'The log has only the beginning of the body of this refused request, and it is not in '
        + 'quarantine. logs.refused_body and logs.quarantine_bytes keep more.',
    target: 'The log does not have the whole path of this request, so it cannot be checked.',
  },
  messageId: 'MessageId',
  tag: 'Tag',
  owner: 'TopicOwner',
  published: 'Published',
  peer: 'Peer',
  came: 'Arrived',
  beforeArrival: (t) => `${t} before arrival`,
  afterArrival: (t) => `${t} after arrival: a clock is wrong`,
  headers: 'Headers',
  body: 'Body',
  bodyNotKept: 'The body was not read, or is too large to keep in memory.',
  target: 'Request line',
  signature: 'A signature: do not share it',
  hiddenHeader: 'Show',
  bytes: (n) => `${n} bytes`,
  checkOk: 'passed',
  checkBad: 'failed',
  checkUnknown: 'cannot be checked here',
  likely: 'Most likely cause',
  remedy: 'How to fix it',
  judged: 'Checked as of its arrival, against the current configuration',
  stringToSign: 'String to sign, as computed here',
  checks: {
    method: 'Method',
    path: 'Path served',
    encoding: 'No Content-Encoding',
    size: 'Size of the body',
    headers: 'Required headers',
    date: 'Date within the window',
    'content-md5': 'Body matches Content-MD5',
    address: 'Certificate address allowed',
    signature: 'Signature matches',
    notification: 'Body is a notification',
    admission: 'Owner, topic and source',
  },
  causes: {
    clock_off: (p) =>
      `Signed at ${p.date}, checked as of ${p.now}: ${p.apart} apart. A clock is wrong, or the `
        + 'request is old.',
    body_missing: () => 'The body is missing: it was lost on the way.',
    body_changed: (p) =>
      `The body was changed on the way: ${p.bytes} bytes came, and their digest was not signed.`,
    signature_length: (p) =>
      `The signature has ${p.came} bytes, and one under this key has ${p.needed}. Authorization `
        + 'was cut or replaced, or another certificate belongs to it.',
    path_rewritten: (p) =>
      `The path was rewritten: ${p.signed} was signed, ${p.came} was received. Pass the original `
        + 'path on.',
    target_respelled: (p) =>
      `A proxy ${p.change}: ${p.signed} was signed, ${p.came} was received. Pass the target on `
        + 'unchanged.',
    content_type_changed: (p) =>
      `Content-Type was changed: ${p.signed} was signed. Pass it on unchanged.`,
    content_type_added: () => 'Content-Type was added: none was signed.',
    content_md5_changed: (p) =>
      `Content-MD5 was changed: ${p.signed} was signed. Pass it on unchanged.`,
    content_md5_removed: (p) =>
      `Content-MD5 was removed: ${p.signed} was signed. Pass it on unchanged.`,
    content_md5_added: () => 'Content-MD5 was added: none was signed.',
    header_removed: (p) => `The header ${p.name} was removed on the way.`,
    header_added: (p) => `The header ${p.name} was added on the way.`,
    unexplained: (p) =>
      'None of the usual changes explains the signature: forged, or not signed under a key of '
        + `${p.bits} bits from ${p.origin}.`,
    not_all_tried: (p) =>
      'No usual change that was tried explains the signature: forged, or not signed under a key '
        + `of ${p.bits} bits from ${p.origin}. Not every one was tried, because the request is `
        + 'far larger than one of MNS.',
  },
  respellings: {
    merged_slashes: 'merged //',
    decoded_slash: 'decoded %2F',
    decoded_escape: 'decoded a percent-escape',
    encoded_character: 'percent-encoded a character',
    escape_case: 'changed the case of a percent-escape',
    path_case: 'changed the case of the path',
  },
  reasons: {
    header_missing: [
      'A required header is missing',
      'Not a push of MNS, or a proxy removed the header.',
    ],
    header_doubled: [
      'A header comes twice',
      'Not a push of MNS, or a proxy added the header again.',
    ],
    header_undecodable: [
      'A header cannot be decoded',
      'Not a push of MNS, or a proxy rewrote the header.',
    ],
    date_ahead: [
      'Signed in the future',
      'Check this machine’s clock; a larger signing.max_clock_skew accepts such a Date.',
    ],
    date_too_old: [
      'Signed too long ago',
      'Check this machine’s clock. If it is right, the request is an old one sent again, or a '
        + 'very late retry; a larger signing.max_age accepts both.',
    ],
    content_md5_missing: [
      'Content-MD5 is missing',
      'If a proxy removed the header, let the header through: the signature covers it.',
    ],
    content_md5_mismatch: [
      'Content-MD5 does not match the body',
      'A proxy changed the body, or an old request was sent again with another one.',
    ],
    certificate_address_refused: [
      'Certificate address not allowed',
      'If the address is MNS’s, add its prefix to signing.certificate_prefixes or its region '
        + 'to signing.extra_regions. For pushes of the emulator or of mns-endpoint push, start '
        + 'mns-endpoint serve with --trust.',
    ],
    certificate_over_budget: [
      'Too many unknown certificates',
      'Somebody makes up addresses of certificates. If a proxy is in front, name it in '
        + 'server.trusted_proxies; or put the certificate in place with mns-endpoint '
        + 'certificate add.',
    ],
    certificate_unavailable: [
      'Could not obtain the signing certificate',
      'Check DNS, routes, signing.fetch_via and signing.proxy, or put the certificate in '
        + 'place with mns-endpoint certificate add.',
    ],
    key_too_small: [
      'Signing key too small',
      'signing.min_key_bits requires a larger key than MNS uses.',
    ],
    signature_wrong: [
      'Signature does not match',
      'Forged, or a proxy changed the path, the query, Content-Type or an x-mns header.',
    ],
    owner_not_accepted: [
      'Topic owner not accepted',
      'Add the account to accept.topic_owners if its pushes are meant for you.',
    ],
    topic_not_accepted: [
      'Topic not accepted',
      'Add the topic to accept.topics if its pushes are meant for you.',
    ],
    source_not_accepted: [
      'Source address not accepted',
      'Add the network to accept.sources if pushes come from there.',
    ],
    body_not_recognised: [
      'Body is no notification',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    body_malformed: [
      'Body is malformed',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    body_not_utf8: [
      'Body is not UTF-8',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    document_type: [
      'Body has a document type',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    element_missing: [
      'An element is missing',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    element_doubled: [
      'An element comes twice',
      'The signature matches, so MNS sent this body: take it back with mns-endpoint logs '
        + 'recover --as-raw.',
    ],
    journal_full: [
      'More arrives than the disk takes',
      'The disk is slower than the pushes. MNS sends them again.',
    ],
    journal_refused: [
      'The disk refused the record',
      'The disk is full or failing: make room in logs.dir. MNS sends the push again.',
    ],
    forward_backlog_full: [
      'Too much waits for a destination',
      'The destination is away or too slow. MNS sends the push again.',
    ],
    forward_unavailable: [
      'The destination does not answer',
      'A 201 waits for it. MNS sends the push again.',
    ],
    forward_late: [
      'The destination was too slow',
      'The notification is on disk and will be forwarded. MNS sends the push again.',
    ],
    forward_refused: [
      'The destination cannot take it',
      'The notification is on disk and is a dead letter.',
    ],
    journal_failed: [
      'The disk failed a sync',
      'See the diagnostic log, then restart on a disk that works.',
    ],
    too_many_in_flight: [
      'Too many requests in work',
      'More arrives than this machine can take. MNS sends the push again.',
    ],
    out_of_time: [
      'Out of time',
      'The certificate source or this machine is too slow. MNS sends the push again.',
    ],
    path_not_served: [
      'Path not served',
      'A scanner, or the subscription uses another path: add it to server.paths.',
    ],
    method_not_allowed: ['Method not allowed', 'Only POST is answered here.'],
    content_encoding: [
      'Body is encoded',
      'A proxy compressed the body, or it is not a push of MNS.',
    ],
    body_too_large: [
      'Body too large',
      'No push of MNS is that large; a larger server.max_body accepts such a body.',
    ],
    body_too_slow: [
      'Body too slow',
      'The network or a proxy is too slow; a larger server.body_timeout, up to 3s, gives it more '
        + 'time.',
    ],
    body_broken: ['Body broke off', 'The peer or a proxy ended the body early.'],
    message_md5_mismatch: [
      'MessageMD5 is not that of the message',
      'Normal if the publisher set user properties.',
    ],
    date_late: [
      'Signed more than 15 minutes ago',
      'A retry that carries its first Date, or this machine’s clock is wrong.',
    ],
  },
  deliveriesText: 'Every delivery of this message within a day of this one',
  replayTitle: 'Replay this notification',
  replayTo: 'Send to',
  replayWhat: 'What to send',
  replayRequest: 'The request as it arrived, with its signature',
  replayMessage: 'The message only, as text/plain',
  replaySend: 'Send',
  replayNote:
    'A receiver that checks the signature also checks the path and the Date. Both are those '
      + 'of the first delivery.',
  replayAnswer: (s, t) => `Answered ${s} in ${t}`,
  allowedHosts: (list) =>
    `Allowed: loopback, and the prefixes in admin.replay_to`
      + `${list.length ? `: ${list.join(', ')}` : ''}`,
  errors: {
    not_allowed: 'Only loopback and the prefixes in admin.replay_to are allowed.',
    no_answer: 'No answer from this address.',
    busy: 'Two are being sent already: try again.',
    gone: 'Memory and log files do not have what is to be sent.',
  },
  tokenTitle: 'This endpoint requires a token',
  tokenText:
    'Who may read the logs may open this page. This command prints its address with the '
      + 'token:',
  token: 'Token, or the whole address',
  wrongToken: 'This is not the token.',
  tooManyTokens: 'Too many wrong tokens: wait for a second.',
  open: 'Open',
  lost: (s) => `No answer from the endpoint. Retrying in ${s} s. This page may be out of date.`,
  broken: {
    journal:
      'The journal rejects writes because the disk refused one. Pushes get 503, and MNS '
        + 'retries them.',
    disk: 'Too little disk space is free: make room in logs.dir.',
    stop: 'The endpoint is stopping.',
    sync: 'A sync to disk hangs: see the disk of logs.dir.',
  },
  forwardNone: 'Forwarding is off',
  forwardHow:
    'Forwarding hands each accepted notification on to another system, such as a stream of NATS '
      + 'JetStream, and is switched on by a table [forward.NAME] in the configuration and a '
      + 'restart:',
  forwardDocs: 'docs/forward.md explains every key, reason and command.',
  forwardCounts:
    'Counts are since the start of serve. mns-endpoint forward status shows what is saved, also '
      + 'of a stopped endpoint.',
  forwardStates: {
    connected: 'Connected',
    failing: 'Not acknowledged',
    disconnected: 'Not connected',
    ended: 'Stopped',
    not_started: 'Not started',
  },
  forwardFacts: {
    target: 'Destination',
    ack: 'A 201 means',
    topics: 'Topics',
    backlog: 'Waiting',
    inFlight: 'In flight',
    delivered: 'Delivered',
    lastDelivery: 'Last delivery',
    failures: 'Failed attempts',
    deadLetters: 'Dead letters',
    saved: 'Time between saves',
    skipped: 'Skipped',
  },
  ackJournal: 'on this disk',
  ackForward: (s) => `on this disk and at the destination, within ${s} s`,
  allTopics: 'all',
  oldest: (size, t) => `${size}, the oldest for ${t}`,
  withRepeats: (n, repeats) => `${n}, and ${repeats} repeats`,
  ago: (t) => `${t} ago`,
  since: (t) => `for ${t}`,
  heldFiles: (n) => `Log files older than logs.keep that destinations still need: ${n}.`,
  forwardFull: 'As much waits as max_backlog or max_backlog_age allows',
  fullRefuses:
    'Pushes get 503 forward_backlog_full until less waits, and MNS sends them again. Look at the '
      + 'destination, or raise the bound.',
  fullSkips: 'The oldest are skipped: they stay in the logs, and the destination lacks them.',
  forwardDead: (name) => [
    'Some notifications cannot be delivered',
    `They are kept in forward_${name}.PORT.dead beside the logs.`,
  ],
  forwardGap: (from, to) => [
    `Log records are missing between ${from} and ${to}`,
    'Somebody deleted, packed or cut a log before it was forwarded. Notifications in it may be '
      + 'missing at the destination.',
  ],
  backlogFull: (n) =>
    `Too much waits for the destination ${n}: pushes get 503, and MNS retries them.`,
  forwardReasons: {
    disconnected: [
      'There is no connection',
      'Check servers and the network. It connects by itself, and what waits is sent then.',
    ],
    no_responders: [
      'Nobody answers on the subject',
      'A leader is being elected, which takes seconds, or there is no such stream.',
    ],
    stream_missing: [
      'No stream takes the subject',
      'Create the stream, or set create = "missing", and check its subjects.',
    ],
    ack_timeout: [
      'No acknowledgement arrived in time',
      'It is sent again. Check the load and the disks of the servers.',
    ],
    in_process: ['The same id is being stored', 'It is sent again: nothing to do.'],
    not_leader: ['The server does not lead the stream', 'It is sent again: nothing to do.'],
    not_stored: [
      'Acknowledged without being stored',
      'The servers are too old: upgrade them to 2.10.26 or later.',
    ],
    destination_full: [
      'The destination has no room',
      'Raise the limits of the stream or the account, or let consumers catch up. Nothing is lost.',
    ],
    forbidden: [
      'The destination does not let us in',
      'Correct the credentials, the certificate or the permissions: files are read at each '
        + 'connect.',
    ],
    too_large: [
      'Larger than the destination takes',
      'Raise max_payload or max_msg_size for later ones.',
    ],
    no_answer: ['No answer that can be read', 'It is sent again. See the diagnostic log.'],
    redirected: ['The destination redirects', 'Redirects are not followed: set url to the target.'],
    throttled: ['The destination asks for less', 'It is sent again, as late as the answer says.'],
    refused: [
      'The destination refuses it',
      'It is sent again. It becomes a dead letter only if later ones are delivered.',
    ],
    server_error: ['The destination fails', 'It is sent again. See the log of the destination.'],
    gone: [
      'The destination is gone: 410',
      'Nothing is forwarded until the next start. Correct the url, or remove the table.',
    ],
    given_up: ['Sent for give_up without success', 'It is a dead letter.'],
    panicked: [
      'The forwarder has failed',
      'Restart serve: it goes on from the saved cursor. Please report the diagnostic log.',
    ],
    cursor_unreadable: [
      'The cursor cannot be read',
      'Check the disk and the permissions of logs.dir, then restart serve.',
    ],
    cursor_broken: [
      'The cursor is damaged',
      'Any guess would lose or repeat notifications. To start at the end of the log, stop serve '
        + 'and delete the cursor.',
    ],
    cursor_version: [
      'The cursor is of a later version',
      'Start the version that wrote it, or delete the cursor.',
    ],
    cursor_of_another: [
      'The cursor is that of another destination',
      'Give the new destination another name, or delete the cursor to start at the end of the log.',
    ],
    disk: [
      'The log or the cursor cannot be used',
      'Check the disk and the permissions of logs.dir, then restart serve.',
    ],
  },
  keys: 'Keyboard',
  keyNames: {
    move: 'next, previous',
    open: 'open',
    back: 'back, close, clear',
    search: 'search',
    tabs: 'message, request, checks, deliveries',
    forwarding: 'forwarding',
    pause: 'pause, resume',
    newest: 'jump to the newest',
    curl: 'copy as curl',
    message: 'copy the message',
    replay: 'replay',
    download: 'download',
    link: 'copy a link',
    wrap: 'wrap lines',
    help: 'this list',
  },
  language: '中文',
  theme: {
    auto: 'Colours: system',
    light: 'Colours: light',
    dark: 'Colours: dark',
  },
  zone: 'Time zone of the endpoint',
};
