-- Whether a client's id of a conversation is another reader's, without looking at all of them.
begin;

create index if not exists conversations_client_id
  on conversations (client_id) where client_id is not null;

commit;
