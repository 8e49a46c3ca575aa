-- The run log: the journal of every answer while it is made. Whoever comes back for an answer
-- is told it again from here, by any instance, and the history gets the rest of an answer
-- whose instance died.
begin;

-- An answer may also be stopped by its reader.
alter table messages drop constraint if exists messages_status_check;
alter table messages add constraint messages_status_check
  check (status in ('complete', 'interrupted', 'stopped'));

create table if not exists runs (
  -- The answer's message.
  id uuid primary key,
  -- `users.id`, the name that a trusted server gave, or empty for a guest. No reference: an
  -- account is made with the first save, and a run is gone an hour after its end.
  owner text not null,
  conversation_id uuid,
  -- What its client calls the conversation.
  client_id text,
  -- What makes a repeated request the same request.
  request_key bytea,
  -- The exchange as far as it is known, ready to be saved by somebody else.
  exchange jsonb not null,
  -- What is known of it by now: the model, the usage so far.
  known jsonb not null default '{}',
  began_at timestamptz not null default clock_timestamp(),
  -- The last sign of life.
  seen_at timestamptz not null default clock_timestamp(),
  -- Somebody else is bringing it to its end.
  is_taken boolean not null default false,
  is_stopping boolean not null default false,
  ended_at timestamptz
);

create unique index if not exists runs_request on runs (owner, request_key);
create index if not exists runs_owner on runs (owner, began_at desc);
create index if not exists runs_going on runs (began_at) where ended_at is null;
create index if not exists runs_ended on runs (ended_at);

create table if not exists run_batches (
  run_id uuid not null references runs (id) on delete cascade,
  -- The number of its first event, from 1.
  first integer not null,
  -- As text, because numbers must come back to the last digit.
  events json not null,
  -- What its events add to the answer's text …
  content text not null,
  -- … to its sources …
  sources jsonb not null,
  -- … and to the places where it cites them.
  markers jsonb not null,
  primary key (run_id, first)
);

commit;
