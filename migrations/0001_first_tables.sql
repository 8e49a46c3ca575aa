-- Accounts, conversations, messages and the log.
--
-- A database that the earlier system made (users; conversations with one question and one
-- answer a row; interaction_logs) is recognised and carried over. Its tables stay, as
-- seed_users, seed_conversations and seed_interaction_logs, so that nothing of them is lost.
-- Whatever else stands in the way is refused, and then nothing is changed.
begin;

set local timezone = 'UTC';

do $$
declare
  ours constant text[] := array['users', 'conversations', 'messages', 'interaction_logs'];
  name text;
  missing text;
  twins text;
  index record;
begin
  -- Our own tables, made before by this file: nothing to recognise.
  if exists (
    select 1 from pg_attribute
    where attrelid = to_regclass('users') and attname = 'issuer' and not attisdropped
  ) then
    return;
  end if;

  foreach name in array ours loop
    if to_regclass(name) is null then
      continue;
    end if;
    if to_regclass('seed_' || name) is not null then
      raise exception 'lectern: there are both % and seed_%; move one of them away', name, name;
    end if;
    select string_agg(wanted.col, ', ' order by wanted.col) into missing
    from (values
      ('users', 'id'), ('users', 'email'), ('users', 'password_hash'), ('users', 'created_at'),
      ('conversations', 'id'), ('conversations', 'user_id'), ('conversations', 'query'),
      ('conversations', 'response'), ('conversations', 'timestamp'),
      ('conversations', 'created_at'),
      ('interaction_logs', 'id'), ('interaction_logs', 'user_id'),
      ('interaction_logs', 'session_id'), ('interaction_logs', 'request_content'),
      ('interaction_logs', 'response_content'), ('interaction_logs', 'request_timestamp'),
      ('interaction_logs', 'response_timestamp'), ('interaction_logs', 'response_time_ms'),
      ('interaction_logs', 'agent_model'), ('interaction_logs', 'error_occurred'),
      ('interaction_logs', 'error_message'), ('interaction_logs', 'metadata'),
      ('messages', 'any that we know')
    ) as wanted (tab, col)
    where wanted.tab = name and not exists (
      select 1 from pg_attribute
      where attrelid = to_regclass(name) and attname = wanted.col and not attisdropped
    );
    if missing is not null then
      raise exception 'lectern: this database has a table % that is not ours (it lacks the columns: %); use an empty database, or move that table away', name, missing;
    end if;
  end loop;

  if to_regclass('users') is null then
    if to_regclass('conversations') is not null then
      raise exception 'lectern: this database has a table conversations without a table users; use an empty database, or move that table away';
    end if;
  else
    if (
      select atttypid from pg_attribute
      where attrelid = to_regclass('users') and attname = 'id'
    ) <> 'uuid'::regtype then
      raise exception 'lectern: the ids in the table users are not of the type uuid; accounts cannot be carried over';
    end if;
    execute $q$
      select string_agg(ids, '; ') from (
        select string_agg(id::text, ' and ' order by id) as ids
        from users
        where email is not null
        group by lower(btrim(email::text))
        having count(*) > 1
      ) as pairs
    $q$ into twins;
    if twins is not null then
      raise exception 'lectern: these accounts have the same email but for upper and lower case, and only one can keep it: %; change or remove the others first', twins;
    end if;
  end if;

  -- Out of the way, names of indexes and constraints included.
  foreach name in array ours loop
    if to_regclass(name) is null then
      continue;
    end if;
    for index in
      select c.relname, n.nspname
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace
      where i.indrelid = to_regclass(name)
    loop
      execute format(
        'alter index %I.%I rename to %I',
        index.nspname, index.relname, left('seed_' || index.relname, 63));
    end loop;
    execute format('alter table %s rename to %I', to_regclass(name), 'seed_' || name);
    -- Only this transaction carries over: run again, the file must not bring back what a
    -- reader has since deleted.
    perform set_config('lectern.taking_over', 'yes', true);
  end loop;
end
$$;

create table if not exists users (
  id uuid primary key,
  -- `lectern` for our own accounts (the subject is the id), `service` for users that a
  -- trusted server names.
  issuer text not null default 'lectern',
  subject text not null,
  email text,
  password_hash text,
  created_at timestamptz not null default now(),
  unique (issuer, subject)
);

create unique index if not exists users_email_key on users (lower(email));

create table if not exists conversations (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  client_id text,
  title text not null default '',
  created_at timestamptz not null default now(),
  last_message_at timestamptz not null default now(),
  unique (user_id, client_id)
);

-- The newest first, for the list and for retention; the id breaks ties.
create index if not exists conversations_newest
  on conversations (user_id, last_message_at desc, id desc);

create table if not exists messages (
  id uuid primary key,
  conversation_id uuid not null references conversations (id) on delete cascade,
  seq integer not null,
  role text not null check (role in ('user', 'assistant')),
  -- {"text": "…"}
  content jsonb not null,
  sources jsonb not null default '[]',
  status text not null default 'complete' check (status in ('complete', 'interrupted')),
  created_at timestamptz not null default now(),
  -- Checked at the end of a statement: a late exchange moves newer messages up.
  constraint messages_order unique (conversation_id, seq) deferrable initially immediate
);

create table if not exists interaction_logs (
  id uuid primary key,
  user_id uuid references users (id) on delete set null,
  -- No reference: a log row outlives its conversation.
  conversation_id uuid,
  request_content text not null,
  response_content text not null,
  request_timestamp timestamptz not null,
  response_timestamp timestamptz not null,
  response_time_ms integer not null,
  first_token_ms integer,
  agent_model text not null,
  sources jsonb not null default '[]',
  usage jsonb not null default '{}',
  error_code text,
  metadata jsonb not null default '{}'
);

create index if not exists interaction_logs_age on interaction_logs (request_timestamp);
create index if not exists interaction_logs_user on interaction_logs (user_id);

do $$
begin
  if coalesce(current_setting('lectern.taking_over', true), '') <> 'yes' then
    return;
  end if;

  if to_regclass('seed_users') is not null then
    insert into users (id, issuer, subject, email, password_hash, created_at)
    select
      id, 'lectern', id::text, lower(btrim(email::text)), password_hash::text,
      coalesce(created_at::timestamptz, now())
    from seed_users;
  end if;

  -- The newest 50 of each user, which is what we keep; the rest stays in the old table. A row
  -- whose id is no uuid gets one that is always the same.
  if to_regclass('seed_conversations') is not null then
    create temporary table carried on commit drop as
    select *
    from (
      select
        case
          when old.id::text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            then old.id::text::uuid
          else md5('lectern seed conversation ' || old.id::text)::uuid
        end as id,
        users.id as user_id,
        coalesce(old.query::text, '') as question,
        coalesce(old.response::text, '') as answer,
        btrim(regexp_replace(coalesce(old.query::text, ''), '\s+', ' ', 'g')) as words,
        times.at,
        row_number() over (
          partition by users.id
          order by times.at desc, old.id::text desc
        ) as place
      from seed_conversations as old
      join users on users.id::text = old.user_id::text
      cross join lateral (
        select coalesce(old.timestamp::timestamptz, old.created_at::timestamptz, now()) as at
      ) as times
    ) as ranked
    where place <= 50;

    insert into conversations (id, user_id, title, created_at, last_message_at)
    select
      id, user_id,
      case
        when length(words) <= 80 then words
        else regexp_replace(left(words, 79), '\s\S*$', '') || '…'
      end,
      at, at
    from carried;

    insert into messages (id, conversation_id, seq, role, content, created_at)
    select md5('question ' || id)::uuid, id, 1, 'user', jsonb_build_object('text', question), at
    from carried
    union all
    select md5('answer ' || id)::uuid, id, 2, 'assistant', jsonb_build_object('text', answer), at
    from carried;

    drop table carried;
  end if;

  if to_regclass('seed_interaction_logs') is not null then
    insert into interaction_logs (
      id, user_id, request_content, response_content, request_timestamp, response_timestamp,
      response_time_ms, agent_model, error_code, metadata
    )
    select
      case
        when old.id::text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then old.id::text::uuid
        else md5('lectern seed log ' || old.id::text)::uuid
      end,
      users.id,
      coalesce(old.request_content::text, ''),
      coalesce(old.response_content::text, ''),
      coalesce(old.request_timestamp::timestamptz, now()),
      coalesce(old.response_timestamp::timestamptz, old.request_timestamp::timestamptz, now()),
      coalesce(old.response_time_ms::numeric::integer, 0),
      coalesce(old.agent_model::text, ''),
      case when old.error_occurred::text in ('t', 'true', '1') then 'seed-error' end,
      jsonb_strip_nulls(jsonb_build_object(
        'seed_metadata', to_jsonb(old.metadata),
        'session_id', old.session_id::text,
        'error_message', old.error_message::text,
        'seed_user_id', case when users.id is null then old.user_id::text end
      ))
    from seed_interaction_logs as old
    left join users on users.id::text = old.user_id::text;
  end if;
end
$$;

commit;
