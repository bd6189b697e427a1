-- name: count_known_breaks
-- How many of these findings have a break already.
SELECT count(*)
  FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[]) AS k (bucket, provider, kind, subject)
  JOIN break_item b ON b.bucket = k.bucket AND b.provider = k.provider AND b.kind = k.kind AND b.subject = k.subject;
