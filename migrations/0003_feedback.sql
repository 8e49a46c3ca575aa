-- What a reader thinks of an answer. It goes with its message.
begin;

create table if not exists feedback (
  message_id uuid primary key references messages (id) on delete cascade,
  kind text not null check (kind in ('positive', 'negative')),
  reason text,
  created_at timestamptz not null default now()
);

commit;
