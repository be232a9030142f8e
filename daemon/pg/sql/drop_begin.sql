-- SPDX-License-Identifier: MIT
--
-- READ COMMITTED, because oid, sessions and dependents must be those after the pin. A backend whose client is gone,
-- be it us, must not carry out its DROP later: hence the check interval. Whoever leaves this transaction open for a
-- minute without a word is not there any more.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = '';
SET LOCAL client_connection_check_interval = '500ms';
SET LOCAL idle_in_transaction_session_timeout = '60s';
SET LOCAL lock_timeout = :'lock_timeout';
SET LOCAL statement_timeout = :'statement_timeout'
