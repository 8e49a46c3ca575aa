-- What makes a repeated save the same save, and the day's count of model answers.
begin;

create table if not exists idempotency_keys (
  -- Who used the key: keys of two callers never meet.
  caller text not null,
  key text not null,
  request_hash bytea not null,
  response jsonb not null,
  created_at timestamptz not null default now(),
  primary key (caller, key)
);

create index if not exists idempotency_keys_age on idempotency_keys (created_at);

create table if not exists daily_answers (
  -- In UTC.
  day date primary key,
  answers bigint not null
);

commit;
