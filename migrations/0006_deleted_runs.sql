-- A run whose conversation was deleted tells nothing any more, and what comes of it is not kept.
begin;

alter table runs add column if not exists is_deleted boolean not null default false;

commit;
