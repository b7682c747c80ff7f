-- One row per contact that counts, and per customer whom a campaign held out.
select
    contact_id,
    customer_id,
    contacted_at,
    campaign,
    contact_action,
    is_held_out

from {{ ref('stg_canonical__contacts_judged') }}

where rejected_reason is null
