-- One row per as_of_date and customer_id. Only days before as_of_date count: an order on it is not
-- seen. A date that nobody scores has the customers of the sample only, until it is the training
-- date of a run: then the others are added.
{%- set is_due_date = is_due('is_past') %}
{%- set count, amount = 'coalesce(%s, 0)::integer', 'greatest(%s, 0)::numeric(24, 8)' %}
{%- set of_order_days = 'filter (where days.count_orders > 0)' %}
with

-- materialized: asked once, not for each of a customer's days
dates as materialized (

    select
        dates.as_of_date,
        dates.is_whole,
        dates.sample_buckets,
        {{ is_due_date }} as is_due

    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due_date }} or {{ lacks_the_others() }}

),

-- not materialized: read three times, it would be written to disk once more
days as not materialized (

    select * from {{ ref('int_customer_days') }}

),

history as (

    select
        dates.as_of_date,
        days.customer_id,
        dates.as_of_date - min(days.day_date) {{ of_order_days }} as days_since_first_order,
        dates.as_of_date - max(days.day_date) {{ of_order_days }} as days_since_last_order,
        max(days.order_day_number)::integer as count_order_days,
        {{ sums_by_window('count_orders', 'count_orders', count) }},
        {{ sums_by_window('net_amount', 'net_spend_amount', amount) }},
        sum(days.gross_spend_amount)::numeric(24, 8) as gross_spend_amount,
        sum(days.refund_amount)::numeric(24, 8) as refund_amount,
        coalesce({{ sum_of_days('refund_amount', 365) }}, 0)::numeric(24, 8) as refund_amount_365d,
        sum(days.count_refunds)::integer as count_refunds,
        (sum(days.gross_spend_amount) / sum(days.count_orders))::numeric(24, 8) as avg_order_amount,
        max(days.max_order_amount)::numeric(24, 8) as max_order_amount,
        stddev_samp(days.days_since_previous_order_day)::double precision
            as stddev_days_between_orders,
        sum(days.count_new_products)::integer as count_products,
        coalesce({{ sum_of_days('units', 365) }}, 0)::bigint as count_units_365d,
        coalesce({{ count_active_months_of_year() }}, 0)::integer as count_active_months_365d,
        bool_and({{ is_in_sample('days.sample_bucket') }}) as is_in_sample

    from dates
    inner join days
        on
            dates.as_of_date > days.day_date
            and case
                when dates.is_due then dates.is_whole or {{ is_in_sample('days.sample_bucket') }}
                else not {{ is_in_sample('days.sample_bucket') }}
            end
    group by dates.as_of_date, days.customer_id
    having sum(days.count_orders) > 0

)

select
    history.*,
    (history.days_since_first_order - history.days_since_last_order)::double precision
    / nullif(history.count_order_days - 1, 0) as avg_days_between_orders,
    last_days.last_order_amount::numeric(24, 8) as last_order_amount,
    first_days.first_order_amount::numeric(24, 8) as first_order_amount,
    last_days.country

from history
inner join days as first_days
    on history.customer_id = first_days.customer_id and first_days.order_day_number = 1
inner join days as last_days
    on
        history.customer_id = last_days.customer_id
        and history.count_order_days = last_days.order_day_number

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by history.as_of_date, substr(md5(history.customer_id), 9, 8) collate "C"
