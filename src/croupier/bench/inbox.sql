-- name: fill
-- Webhooks as the intake keeps them.
SELECT known FROM accept_deliveries($1, $2);

-- name: is_waiting
-- Whether anything is left to process.
SELECT EXISTS (SELECT FROM inbox_queue);

-- name: count_applied
-- How many deliveries moved money.
SELECT count(*) FROM delivery_result WHERE result = 'applied' AND journal_id IS NOT NULL;
