-- One row per as_of_date, campaign and customer: what the customer did before the campaign and in
-- the 90 days from it. A day on or after the date is not seen.
{%- set before = 'filter (where days.day_date < drawn.contacted_date)' %}
{%- set after = 'filter (where days.day_date >= drawn.contacted_date)' %}
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_scored_date') }}

),

drawn as (

    -- a contact made by mistake leaves a customer who was held out where the draw put them
    select
        dates.as_of_date,
        contacts.campaign,
        contacts.customer_id,
        min(contacts.contacted_date) as contacted_date,
        max(contacts.contacted_date) as last_contacted_date,
        bool_or(contacts.is_held_out) as is_held_out

    from dates
    inner join {{ ref('int_contacts') }} as contacts
        on
            dates.as_of_date > contacts.contacted_date
            and dates.as_of_date - 455 <= contacts.contacted_date
    group by dates.as_of_date, contacts.campaign, contacts.customer_id

),

days as (

    select * from {{ ref('int_customer_days') }}

),

counted as (

    select
        drawn.*,
        drawn.contacted_date + 90 <= drawn.as_of_date as is_known,
        coalesce(sum(days.count_orders) {{ before }}, 0) as count_orders_before,
        coalesce(sum(days.net_amount) {{ before }}, 0) as net_spend_amount_before,
        coalesce(sum(days.count_orders) {{ after }}, 0) as count_orders,
        coalesce(sum(days.net_amount) {{ after }}, 0) as net_spend_amount

    from drawn
    left join days
        on
            drawn.customer_id = days.customer_id
            and drawn.as_of_date > days.day_date
            and days.day_date between drawn.contacted_date - 365 and drawn.contacted_date + 89
    group by
        drawn.as_of_date, drawn.campaign, drawn.customer_id, drawn.contacted_date,
        drawn.last_contacted_date, drawn.is_held_out

)

select
    as_of_date,
    campaign,
    customer_id,
    contacted_date,
    last_contacted_date,
    is_held_out,
    count_orders_before::integer as count_orders_365d_before,
    greatest(net_spend_amount_before, 0)::numeric(24, 8) as net_spend_amount_365d_before,
    case when is_known then count_orders end::integer as count_orders_90d,
    case when is_known then greatest(net_spend_amount, 0) end::numeric(24, 8)
        as net_spend_amount_90d

from counted

-- a campaign is read at a time
order by as_of_date, campaign
