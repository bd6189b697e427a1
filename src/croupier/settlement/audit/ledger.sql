-- name: entries_sum_to_zero
-- Every entry sums to zero in each of its assets.
SELECT count(*) OVER () AS found,
       format('entry jrn_%s sums to %s in %s, not to 0', translate(entry_id::text, '-', ''), sum(amount), asset)
           AS explanation
  FROM posting
 GROUP BY bucket, entry_id, asset
HAVING sum(amount) <> 0
 ORDER BY bucket, entry_id, asset LIMIT $1;

-- name: entries_have_postings
-- Every entry has at least two postings, and every posting belongs to an entry.
SELECT count(*) OVER () AS found,
       CASE WHEN e.id IS NULL
            THEN format('%s posting(s) belong to entry jrn_%s, which does not exist', p.postings,
                        translate(p.entry_id::text, '-', ''))
            ELSE format('entry jrn_%s (%s, reference %s) has %s posting(s), at least 2 are needed',
                        translate(e.id::text, '-', ''), e.kind, e.reference, coalesce(p.postings, 0))
       END AS explanation
  FROM (SELECT bucket, entry_id, count(*) AS postings FROM posting GROUP BY bucket, entry_id) p
  FULL JOIN journal_entry e ON e.bucket = p.bucket AND e.id = p.entry_id
 WHERE e.id IS NULL OR coalesce(p.postings, 0) < 2
 ORDER BY coalesce(e.bucket, p.bucket), coalesce(e.id, p.entry_id) LIMIT $1;

-- name: ledger_sums_to_zero
-- The whole ledger sums to zero in every asset, bucket by bucket, because no entry spans two buckets.
SELECT count(*) OVER () AS found,
       format('the postings of bucket %s sum to %s in %s, not to 0', bucket, sum(amount), asset) AS explanation
  FROM posting
 GROUP BY bucket, asset
HAVING sum(amount) <> 0
 ORDER BY bucket, asset LIMIT $1;

-- name: balances_equal_postings
-- Every materialised balance equals the sum of its account's postings.
SELECT count(*) OVER () AS found,
       format('%s of %s in %s%s: the balance is %s, its postings sum to %s',
              coalesce(a.kind, p.kind),
              coalesce(a.owner, p.owner) || CASE coalesce(a.kind, p.kind)
                  WHEN 'jackpot_pool' THEN ' (bucket ' || coalesce(a.bucket, p.bucket) || ')' ELSE '' END,
              coalesce(a.asset, p.asset),
              CASE coalesce(a.fund, p.fund) WHEN '' THEN '' ELSE ' (' || coalesce(a.fund, p.fund) || ')' END,
              coalesce(a.balance::text, 'not there'), coalesce(p.total, 0)) AS explanation
  FROM account a
  FULL JOIN (SELECT bucket, owner, kind, asset, fund, sum(amount) AS total
               FROM posting WHERE kind IN ('player_wallet', 'player_receivable', 'jackpot_pool')
              GROUP BY bucket, owner, kind, asset, fund) p
    ON p.bucket = a.bucket AND p.owner = a.owner AND p.kind = a.kind AND p.asset = a.asset AND p.fund = a.fund
 WHERE a.balance IS DISTINCT FROM coalesce(p.total, 0)
 ORDER BY coalesce(a.bucket, p.bucket), coalesce(a.owner, p.owner), coalesce(a.kind, p.kind) LIMIT $1;

-- name: wallets_are_never_negative
-- No wallet of ours holds less than nothing, now or after any of its postings; a mirror follows what flowed through it.
SELECT count(*) OVER () AS found, explanation
  FROM (SELECT bucket, format('the wallet of %s in %s (%s) holds %s', owner, asset, fund, balance) AS explanation
          FROM account WHERE kind = 'player_wallet' AND balance < 0 AND NOT is_mirror
         UNION ALL
        SELECT bucket, format('entry jrn_%s left the wallet of %s in %s (%s) at %s',
                              translate(entry_id::text, '-', ''), owner, asset, fund, balance_after)
          FROM posting p WHERE kind = 'player_wallet' AND balance_after < 0
                            AND NOT EXISTS (SELECT FROM account a
                                             WHERE a.bucket = p.bucket AND a.owner = p.owner AND a.kind = p.kind
                                               AND a.asset = p.asset AND a.fund = p.fund AND a.is_mirror)) negative
 ORDER BY bucket, explanation LIMIT $1;

-- name: balance_chains_are_unbroken
-- The balances noted with an account's postings form one chain from 0 to its balance. Order-free: as many steps must
-- end at an amount as begin there, save one more at the balance and one fewer at 0, whatever clocks wrote the ids.
SELECT count(*) OVER () AS found,
       format('%s of %s in %s: %s', kind,
              owner || CASE kind WHEN 'jackpot_pool' THEN ' (bucket ' || bucket || ')' ELSE '' END, asset,
              CASE WHEN amount IS NULL THEN format('%s posting(s) lack the balance after them', ends)
                   WHEN ends > 0 THEN format('%s step(s) more end at balance %s than begin there', ends, amount)
                   ELSE format('%s step(s) more begin at balance %s than end there', -ends, amount) END)
           AS explanation
  FROM (SELECT bucket, owner, kind, asset, fund, amount, sum(step) AS ends
          FROM (SELECT bucket, owner, kind, asset, fund, balance_after AS amount, 1 AS step
                  FROM posting WHERE kind IN ('player_wallet', 'player_receivable', 'jackpot_pool')
                 UNION ALL
                SELECT bucket, owner, kind, asset, fund, balance_after - amount, -1
                  FROM posting WHERE kind IN ('player_wallet', 'player_receivable', 'jackpot_pool')
                                 AND balance_after IS NOT NULL
                 UNION ALL
                SELECT bucket, owner, kind, asset, fund, 0, 1 FROM account
                 UNION ALL
                SELECT bucket, owner, kind, asset, fund, balance, -1 FROM account) steps
         GROUP BY bucket, owner, kind, asset, fund, amount
        HAVING sum(step) <> 0) broken
 ORDER BY bucket, owner, kind, asset, fund, amount LIMIT $1;

-- name: finished_sessions_hold_no_clearing
-- The clearing of every settled, cancelled, failed or reversed session is zero, one by one.
SELECT count(*) OVER () AS found,
       format('session ses_%s is %s and its clearing holds %s %s', translate(s.id::text, '-', ''), s.state,
              p.total, s.asset) AS explanation
  FROM session s
  JOIN (SELECT bucket, session_id, sum(amount) AS total
          FROM posting WHERE kind = 'operator_clearing' GROUP BY bucket, session_id HAVING sum(amount) <> 0) p
    ON p.bucket = s.bucket AND p.session_id = s.id
 WHERE s.state IN ('settled', 'cancelled', 'failed', 'reversed')
 ORDER BY s.bucket, s.id LIMIT $1;

-- name: session_books_equal_postings
-- A session's stakes, wins, contributions, share and revenue are what its postings say, and its clearing is the rest.
WITH effect AS (
    SELECT e.bucket, e.session_id, e.id, coalesce(o.action, t.action, e.kind) AS kind
      FROM journal_entry e
      LEFT JOIN money_reference r ON e.kind = 'rollback' AND r.provider = e.provider AND r.reference = e.reference
      LEFT JOIN money_reference t ON t.provider = r.provider AND t.reference = r.target_reference
      LEFT JOIN money_reference o
        ON t.action = 'rollback' AND o.provider = t.provider AND o.reference = t.target_reference
     WHERE e.session_id IS NOT NULL
), told AS (
    SELECT f.bucket, f.session_id,
           coalesce(-sum(p.amount) FILTER (WHERE f.kind = 'bet' AND p.kind = 'player_wallet'), 0) AS staked,
           coalesce(-sum(p.amount) FILTER (WHERE f.kind = 'win' AND p.kind = 'operator_clearing'), 0) AS won,
           coalesce(sum(p.amount) FILTER (WHERE f.kind = 'bet' AND p.kind IN ('provider_payable', 'jackpot_pool')), 0)
               AS contributed,
           coalesce(sum(p.amount) FILTER (WHERE f.kind = 'settlement' AND p.kind = 'provider_payable'), 0) AS share,
           coalesce(sum(p.amount) FILTER (WHERE f.kind = 'settlement' AND p.kind = 'operator_revenue'), 0) AS revenue
      FROM effect f JOIN posting p ON p.bucket = f.bucket AND p.entry_id = f.id
     GROUP BY f.bucket, f.session_id
), cleared AS (
    SELECT bucket, session_id, sum(amount) AS total
      FROM posting WHERE kind = 'operator_clearing' GROUP BY bucket, session_id
), compared AS (
    SELECT coalesce(s.bucket, t.bucket, c.bucket) AS bucket, coalesce(s.id, t.session_id, c.session_id) AS id,
           s.id IS NULL AS is_missing,
           concat_ws(', ',
               CASE WHEN s.staked <> coalesce(t.staked, 0)
                    THEN format('staked is %s, postings say %s', s.staked, coalesce(t.staked, 0)) END,
               CASE WHEN s.won <> coalesce(t.won, 0)
                    THEN format('won is %s, postings say %s', s.won, coalesce(t.won, 0)) END,
               CASE WHEN s.contributed <> coalesce(t.contributed, 0)
                    THEN format('contributed is %s, postings say %s', s.contributed, coalesce(t.contributed, 0)) END,
               CASE WHEN s.share_posted <> coalesce(t.share, 0)
                    THEN format('share is %s, postings say %s', s.share_posted, coalesce(t.share, 0)) END,
               CASE WHEN s.revenue_posted <> coalesce(t.revenue, 0)
                    THEN format('revenue is %s, postings say %s', s.revenue_posted, coalesce(t.revenue, 0)) END,
               CASE WHEN s.staked - s.won - s.contributed - s.share_posted - s.revenue_posted <> coalesce(c.total, 0)
                    THEN format('its columns leave %s in clearing, postings say %s',
                                s.staked - s.won - s.contributed - s.share_posted - s.revenue_posted,
                                coalesce(c.total, 0)) END) AS differences
      FROM session s
      FULL JOIN told t ON t.bucket = s.bucket AND t.session_id = s.id
      FULL JOIN cleared c ON c.bucket = coalesce(s.bucket, t.bucket) AND c.session_id = coalesce(s.id, t.session_id)
)
SELECT count(*) OVER () AS found,
       format('session ses_%s: %s', translate(id::text, '-', ''),
              CASE WHEN is_missing THEN 'has postings, but does not exist' ELSE differences END) AS explanation
  FROM compared
 WHERE is_missing OR differences <> ''
 ORDER BY bucket, id LIMIT $1;

-- name: provider_shares_follow_the_contract
-- The share posted for every finished session is its cumulative result times the contract's basis points, rounded
-- toward minus infinity. Multiplied by 0.0001 rather than divided: a numeric product is exact at any size.
SELECT count(*) OVER () AS found,
       format('session ses_%s: %s basis points of %s are %s, posted is %s', translate(id::text, '-', ''), share_bps,
              staked - won - contributed, floor((staked - won - contributed) * share_bps * 0.0001), share_posted)
           AS explanation
  FROM session
 WHERE state IN ('settled', 'cancelled', 'failed')
   AND share_posted <> floor((staked - won - contributed) * share_bps * 0.0001)
 ORDER BY bucket, id LIMIT $1;

-- name: references_move_money_once
-- No provider's reference has more than one entry.
SELECT count(*) OVER () AS found,
       format('reference %s of %s has %s entries', reference, provider, count(*)) AS explanation
  FROM journal_entry
 GROUP BY provider, reference
HAVING count(*) > 1
 ORDER BY provider, reference LIMIT $1;

-- name: references_and_entries_agree
-- A reference names its entry and the entry names it; an approved movement has one, nothing else has.
WITH decided AS (
    SELECT r.*,
           CASE WHEN r.status <> 'approved' OR r.code <> 'ok' THEN false
                WHEN r.action IN ('bet', 'win', 'jackpot_win', 'promo_win', 'deposit', 'withdrawal') THEN r.amount > 0
                WHEN r.action IN ('rollback', 'withdrawal_cancel') THEN t.journal_id IS NOT NULL
                ELSE false END AS must_move,
           r.status = 'approved' AND r.code IN ('ok', 'rolled_back_in_part') AND r.action <> 'close_round' AS may_move
      FROM money_reference r
      LEFT JOIN money_reference t
        ON r.action IN ('rollback', 'withdrawal_cancel') AND t.reference = r.target_reference
       AND t.provider = CASE r.action WHEN 'withdrawal_cancel' THEN 'operator' ELSE r.provider END
)
SELECT count(*) OVER () AS found, explanation
  FROM (SELECT d.provider, d.reference,
               CASE WHEN d.journal_id IS NULL
                    THEN format('%s %s of %s was approved and has no entry', d.action, d.reference, d.provider)
                    WHEN e.id IS NULL
                    THEN format('%s %s of %s names entry jrn_%s, which is not there under this reference', d.action,
                                d.reference, d.provider, translate(d.journal_id::text, '-', ''))
                    ELSE format('%s %s of %s is %s (%s), and yet entry jrn_%s moved money', d.action, d.reference,
                                d.provider, d.status, d.code, translate(d.journal_id::text, '-', '')) END
                   AS explanation
          FROM decided d
          LEFT JOIN journal_entry e ON e.bucket = d.bucket AND e.id = d.journal_id AND e.provider = d.provider
                                   AND e.reference = d.reference
         WHERE CASE WHEN d.journal_id IS NULL THEN d.must_move ELSE e.id IS NULL OR NOT d.may_move END
         UNION ALL
        SELECT e.provider, e.reference,
               format('entry jrn_%s (%s) belongs to reference %s of %s, which %s', translate(e.id::text, '-', ''),
                      e.kind, e.reference, e.provider,
                      CASE WHEN r.reference IS NULL THEN 'does not exist' ELSE 'names no entry' END)
          FROM journal_entry e
          LEFT JOIN money_reference r ON r.provider = e.provider AND r.reference = e.reference
         WHERE e.kind <> 'settlement' AND (r.reference IS NULL OR r.journal_id IS NULL)) differences
 ORDER BY provider, reference, explanation LIMIT $1;

-- name: effects_equal_references
-- What an entry moves in the player's wallet is the amount that its reference was approved for.
SELECT count(*) OVER () AS found,
       format('%s %s of %s is for %s %s, its entry moves %s', r.action, r.reference, r.provider, r.amount, r.asset,
              coalesce(p.moved, 0)) AS explanation
  FROM money_reference r
  LEFT JOIN (SELECT bucket, entry_id, owner, asset, sum(amount) AS moved
               FROM posting WHERE kind = 'player_wallet' GROUP BY bucket, entry_id, owner, asset) p
    ON p.bucket = r.bucket AND p.entry_id = r.journal_id AND p.owner = r.player_id AND p.asset = r.asset
 WHERE r.journal_id IS NOT NULL
   AND r.action IN ('bet', 'withdrawal', 'win', 'jackpot_win', 'promo_win', 'deposit')
   AND coalesce(p.moved, 0) <> CASE WHEN r.action IN ('bet', 'withdrawal') THEN -r.amount ELSE r.amount END
 ORDER BY r.provider, r.reference LIMIT $1;

-- name: rollbacks_mirror_once
-- What was rolled back has exactly one rollback that stands, whose entry is its mirror unless it says that it took back
-- a part; a player's debt stands for what was spent.
WITH undone AS (
    SELECT * FROM money_reference WHERE status = 'approved' AND rolled_back_by IS NOT NULL
), undoing AS (
    SELECT *, CASE action WHEN 'withdrawal_cancel' THEN 'operator' ELSE provider END AS target_provider
      FROM money_reference
     WHERE status = 'approved' AND code IN ('ok', 'rolled_back_in_part') AND rolled_back_by IS NULL
       AND action IN ('rollback', 'withdrawal_cancel')
), pair AS (
    SELECT u.bucket, coalesce(u.provider, r.target_provider) AS provider,
           coalesce(u.reference, r.target_reference) AS reference, u.rolled_back_by, u.journal_id,
           r.reference AS undone_by, r.journal_id AS mirror_id, r.code
      FROM undone u
      FULL JOIN undoing r ON r.target_provider = u.provider AND r.target_reference = u.reference
                         AND r.reference = u.rolled_back_by
), rest AS (
    SELECT pair.provider, pair.reference, sum(p.amount) AS amount
      FROM pair
     CROSS JOIN LATERAL (VALUES (pair.journal_id), (pair.mirror_id)) AS both_entries (id)
      JOIN posting p ON p.bucket = pair.bucket AND p.entry_id = both_entries.id
     WHERE pair.code IS DISTINCT FROM 'rolled_back_in_part'
     GROUP BY pair.provider, pair.reference, p.owner, p.asset, p.session_id,
              CASE p.kind WHEN 'player_receivable' THEN 'player_wallet' ELSE p.kind END
    HAVING sum(p.amount) <> 0
)
SELECT count(*) OVER () AS found, explanation
  FROM (SELECT provider, reference,
               CASE WHEN undone_by IS NULL
                    THEN format('%s of %s is marked as rolled back by %s, which did not do it', reference, provider,
                                rolled_back_by)
                    ELSE format('%s of %s was rolled back by %s and is not marked as such', reference, provider,
                                undone_by) END AS explanation
          FROM pair WHERE undone_by IS NULL OR rolled_back_by IS NULL
         UNION ALL
        SELECT provider, reference,
               format('the rollback of %s of %s is not its mirror: %s remains', reference, provider,
                      string_agg(amount::text, ' and ' ORDER BY amount))
          FROM rest GROUP BY provider, reference) differences
 ORDER BY provider, reference, explanation LIMIT $1;

-- name: rounds_equal_references
-- Bets, live bets, stakes and wins of every round are those of its approved references. A round that was only closed
-- needs none: its end may have come with a win that its rollback overtook, or without an id.
WITH in_part AS (
    SELECT r.provider, r.target_reference AS reference, coalesce(sum(p.amount), 0) AS taken_back
      FROM money_reference r
      LEFT JOIN posting p ON p.bucket = r.bucket AND p.entry_id = r.journal_id AND p.kind = 'operator_clearing'
     WHERE r.code = 'rolled_back_in_part' GROUP BY r.provider, r.target_reference
), told AS (
    SELECT m.bucket, m.session_id, m.provider_round_id,
           count(*) FILTER (WHERE m.action = 'bet') AS bets,
           count(*) FILTER (WHERE m.action = 'bet' AND m.rolled_back_by IS NULL) AS live_bets,
           coalesce(sum(m.amount) FILTER (WHERE m.action = 'bet' AND m.rolled_back_by IS NULL), 0) AS staked,
           coalesce(sum(m.amount - coalesce(i.taken_back, 0))
                    FILTER (WHERE m.action = 'win' AND m.code <> 'already_paid' AND (m.rolled_back_by IS NULL OR i.reference IS NOT NULL)), 0) AS won
      FROM money_reference m
      LEFT JOIN in_part i ON i.provider = m.provider AND i.reference = m.reference
     WHERE m.status = 'approved' AND m.session_id IS NOT NULL AND m.provider_round_id IS NOT NULL
       AND m.action IN ('bet', 'win', 'jackpot_win', 'promo_win', 'close_round')
     GROUP BY m.bucket, m.session_id, m.provider_round_id
)
SELECT count(*) OVER () AS found,
       format('round %s of session ses_%s: %s', coalesce(o.provider_round_id, t.provider_round_id),
              translate(coalesce(o.session_id, t.session_id)::text, '-', ''),
              CASE WHEN o.id IS NULL THEN 'is named by references, but does not exist'
                   WHEN t.bets IS NULL THEN 'is named by no reference'
                   ELSE format('has %s bets, %s live, staked %s, won %s; references say %s, %s, %s, %s', o.bets,
                               o.live_bets, o.staked, o.won, t.bets, t.live_bets, t.staked, t.won) END)
           AS explanation
  FROM round o
  FULL JOIN told t ON t.bucket = o.bucket AND t.session_id = o.session_id
                  AND t.provider_round_id = o.provider_round_id
 WHERE NOT (t.bets IS NULL AND o.id IS NOT NULL AND o.bets = 0 AND o.staked = 0 AND o.won = 0)
   AND (o.bets, o.live_bets, o.staked, o.won) IS DISTINCT FROM (t.bets, t.live_bets, t.staked, t.won)
 ORDER BY coalesce(o.bucket, t.bucket), coalesce(o.session_id, t.session_id),
          coalesce(o.provider_round_id, t.provider_round_id) LIMIT $1;

-- name: open_rounds_are_counted
-- A session counts exactly the rounds that hold it open: those open with a live bet, or paid before any bet.
SELECT count(*) OVER () AS found,
       format('session ses_%s counts %s open round(s), %s hold it open', translate(s.id::text, '-', ''), s.rounds_open,
              coalesce(o.holding, 0)) AS explanation
  FROM session s
  LEFT JOIN (SELECT bucket, session_id, count(*) AS holding
               FROM round WHERE state = 'open' AND (live_bets > 0 OR (bets = 0 AND won > 0)) GROUP BY bucket, session_id) o
    ON o.bucket = s.bucket AND o.session_id = s.id
 WHERE s.rounds_open <> coalesce(o.holding, 0)
 ORDER BY s.bucket, s.id LIMIT $1;

-- name: histories_have_no_gaps
-- The events of every session are numbered from 1 to the session's own number, none missing.
SELECT count(*) OVER () AS found,
       format('session ses_%s %s', translate(coalesce(s.id, h.session_id)::text, '-', ''),
              CASE WHEN s.id IS NULL THEN 'has events, but does not exist'
                   WHEN h.session_id IS NULL THEN 'has no events'
                   ELSE format('is at event %s; %s are there, numbered %s to %s', s.seq, h.events, h.lowest, h.highest)
              END) AS explanation
  FROM session s
  FULL JOIN (SELECT bucket, session_id, count(*) AS events, min(seq) AS lowest, max(seq) AS highest
               FROM session_event GROUP BY bucket, session_id) h
    ON h.bucket = s.bucket AND h.session_id = s.id
 WHERE (s.seq, s.seq, 1) IS DISTINCT FROM (h.events, h.highest, h.lowest)
 ORDER BY coalesce(s.bucket, h.bucket), coalesce(s.id, h.session_id) LIMIT $1;

-- name: histories_name_their_entries
-- Every entry of a session is named by exactly one of its events, and every entry an event names is there.
SELECT count(*) OVER () AS found,
       format('session ses_%s: %s', translate(coalesce(e.session_id, n.session_id)::text, '-', ''),
              CASE WHEN e.id IS NULL
                   THEN format('an event names entry jrn_%s, which is not there', translate(n.id::text, '-', ''))
                   ELSE format('%s events name entry jrn_%s', coalesce(n.events, 0), translate(e.id::text, '-', ''))
              END) AS explanation
  FROM (SELECT bucket, session_id, id FROM journal_entry WHERE session_id IS NOT NULL) e
  FULL JOIN (SELECT bucket, session_id, named AS id, count(*) AS events
               FROM session_event CROSS JOIN unnest(journal_ids) AS named GROUP BY bucket, session_id, named) n
    ON n.bucket = e.bucket AND n.session_id = e.session_id AND n.id = e.id
 WHERE e.id IS NULL OR n.events IS DISTINCT FROM 1
 ORDER BY coalesce(e.bucket, n.bucket), coalesce(e.session_id, n.session_id), coalesce(e.id, n.id) LIMIT $1;

-- name: deliveries_are_accounted_for
-- Every delivery that was accepted is waiting, dead or finished, and never two of them at once.
SELECT count(*) OVER () AS found,
       format('delivery %s of %s is %s', d.delivery_id, d.provider,
              CASE WHEN found.places = 0 THEN 'neither waiting nor dead nor finished'
                   ELSE 'waiting, dead or finished more than once' END) AS explanation
  FROM delivery d
 CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM inbox_queue q WHERE q.bucket = d.bucket AND q.id = d.id)
         + (SELECT count(*) FROM dead_letter l WHERE l.bucket = d.bucket AND l.id = d.id)
         + (SELECT count(*) FROM delivery_result r WHERE r.bucket = d.bucket AND r.id = d.id
               AND r.replay = '00000000-0000-0000-0000-000000000000') AS places) found
 WHERE found.places <> 1
 ORDER BY d.id LIMIT $1;

-- name: unfinished_sessions_have_a_timer
-- Every session that is not final has a due time and an owner.
SELECT count(*) OVER () AS found,
       format('session ses_%s is %s and nothing will look at it again', translate(s.id::text, '-', ''), s.state)
           AS explanation
  FROM session s
 WHERE s.state IN ('created', 'launched', 'active', 'pending_settlement')
   AND NOT EXISTS (SELECT FROM session_timer t WHERE t.bucket = s.bucket AND t.session_id = s.id)
 ORDER BY s.bucket, s.id LIMIT $1;

-- name: mirrors_follow_wallet_calls
-- What an entry moves in a mirror is what its call to the operator's wallet says, and no entry moves one without a call.
SELECT count(*) OVER () AS found,
       CASE WHEN w.id IS NULL
            THEN format('entry jrn_%s moves the mirror of %s by %s, and no wallet call was made for it',
                        translate(m.entry_id::text, '-', ''), m.owner, m.moved)
            ELSE format('wallet call wtx_%s (%s, %s) stands for %s in the books, which move %s',
                        translate(w.id::text, '-', ''), w.booked, w.state, w.due, coalesce(m.moved, 0))
       END AS explanation
  FROM (SELECT e.bucket, e.id AS entry_id, e.provider, e.reference, p.owner, sum(p.amount) AS moved
          FROM account a
          JOIN posting p ON p.bucket = a.bucket AND p.owner = a.owner AND p.kind = a.kind AND p.asset = a.asset
                        AND p.fund = a.fund
          JOIN journal_entry e ON e.bucket = p.bucket AND e.id = p.entry_id
         WHERE a.is_mirror AND a.kind = 'player_wallet'
         GROUP BY e.bucket, e.id, e.provider, e.reference, p.owner) m
  FULL JOIN (SELECT bucket, id, provider, reference, booked, state,
                    CASE WHEN booked = 'before' THEN amount WHEN state = 'approved' THEN moved ELSE 0 END
                  * CASE WHEN operation = 'debit' OR (operation = 'rollback' AND kind <> 'bet') THEN -1 ELSE 1 END AS due
               FROM wallet_call WHERE booked <> 'never' AND state <> 'undone') w
    ON w.bucket = m.bucket AND w.provider = m.provider AND w.reference = m.reference
 WHERE w.id IS NULL OR w.due <> coalesce(m.moved, 0)
 ORDER BY coalesce(w.bucket, m.bucket), coalesce(w.id, m.entry_id) LIMIT $1;

-- name: open_wallet_calls_have_somebody
-- Every call to the operator's wallet that is not settled will be looked at, and past its deadline is a person's.
SELECT count(*) OVER () AS found,
       format('wallet call wtx_%s is %s since %s and nobody was told by %s', translate(w.id::text, '-', ''), w.state,
              w.asked_at, w.deadline) AS explanation
  FROM wallet_call w
 WHERE w.settled_at IS NULL AND NOT w.is_overdue AND w.deadline < now() - interval '5 minutes'
 ORDER BY w.bucket, w.id LIMIT $1;
