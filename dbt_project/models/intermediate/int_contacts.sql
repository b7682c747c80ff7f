-- One row per contact that counts, and per customer whom a campaign held out, whatever the source.
select
    customer_id,
    campaign,
    {{ shop_date('contacted_at') }} as contacted_date,
    is_held_out

from {{ ref('stg_' ~ var('source') ~ '__contacts') }}
