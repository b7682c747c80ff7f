-- One row per as_of_date and customer_id. Only days before as_of_date count: an order on it is not
-- seen. A date that nobody scores has the customers of the sample only, until it is the training
-- date of a run: then the others are added. Long, because it has one line a feature.
{%- set days_seen = "days.day_date >= dates.as_of_date - " %}
{%- set year, month = "extract(year from days.day_date)", "extract(month from days.day_date)" %}
{%- set windows_days = [30, 90, 180, 365] %}
{%- set is_due_date = is_due('is_past') %}
{%- set season_last_year = days_seen ~ "365 and days.day_date < dates.as_of_date - 365 + 90" %}

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
        min(days.day_date) filter (where days.count_orders > 0) as first_order_date,
        max(days.day_date) filter (where days.count_orders > 0) as last_order_date,
        max(days.order_day_number) as count_order_days,
        sum(days.count_orders) as count_orders,
        {%- for n in windows_days %}
        sum(days.count_orders) filter (where {{ days_seen }}{{ n }}) as count_orders_{{ n }}d,
        {%- endfor %}
        sum(days.count_orders) filter (where {{ season_last_year }})
            as count_orders_season_last_year,
        sum(days.net_amount) as net_amount,
        {%- for n in windows_days %}
        sum(days.net_amount) filter (where {{ days_seen }}{{ n }}) as net_amount_{{ n }}d,
        {%- endfor %}
        sum(days.net_amount) filter (where {{ season_last_year }}) as net_amount_season_last_year,
        sum(days.gross_spend_amount) as gross_spend_amount,
        sum(days.refund_amount) as refund_amount,
        sum(days.refund_amount) filter (where {{ days_seen }}365) as refund_amount_365d,
        sum(days.count_refunds) as count_refunds,
        max(days.max_order_amount) as max_order_amount,
        stddev_samp(days.days_since_previous_order_day) as stddev_days_between_orders,
        sum(days.count_new_products) as count_products,
        sum(days.units) filter (where {{ days_seen }}365) as count_units_365d,
        -- a bit a calendar month; 365 days touch at most 13 of them
        bit_count(
            bit_or(1 << ({{ year }} * 12 + {{ month }})::integer % 16)
            filter (where days.count_orders > 0 and {{ days_seen }}365)::bit(16)
        ) as count_active_months_365d,
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
    history.as_of_date,
    history.customer_id,
    history.as_of_date - history.first_order_date as days_since_first_order,
    history.as_of_date - history.last_order_date as days_since_last_order,
    history.count_orders::integer as count_orders,
    history.count_order_days::integer as count_order_days,
    {%- for n in windows_days %}
    coalesce(history.count_orders_{{ n }}d, 0)::integer as count_orders_{{ n }}d,
    {%- endfor %}
    coalesce(history.count_orders_season_last_year, 0)::integer as count_orders_season_last_year,
    greatest(history.net_amount, 0)::numeric(24, 8) as net_spend_amount,
    {%- for n in windows_days %}
    greatest(history.net_amount_{{ n }}d, 0)::numeric(24, 8) as net_spend_amount_{{ n }}d,
    {%- endfor %}
    greatest(history.net_amount_season_last_year, 0)::numeric(24, 8)
        as net_spend_amount_season_last_year,
    history.gross_spend_amount::numeric(24, 8) as gross_spend_amount,
    history.refund_amount::numeric(24, 8) as refund_amount,
    coalesce(history.refund_amount_365d, 0)::numeric(24, 8) as refund_amount_365d,
    history.count_refunds::integer as count_refunds,
    (history.gross_spend_amount / history.count_orders)::numeric(24, 8) as avg_order_amount,
    history.max_order_amount::numeric(24, 8) as max_order_amount,
    last_days.last_order_amount::numeric(24, 8) as last_order_amount,
    first_days.first_order_amount::numeric(24, 8) as first_order_amount,
    (history.last_order_date - history.first_order_date)::double precision
    / nullif(history.count_order_days - 1, 0) as avg_days_between_orders,
    history.stddev_days_between_orders::double precision as stddev_days_between_orders,
    history.count_products::integer as count_products,
    coalesce(history.count_units_365d, 0)::bigint as count_units_365d,
    coalesce(history.count_active_months_365d, 0)::integer as count_active_months_365d,
    last_days.country,
    history.is_in_sample

from history
inner join days as first_days
    on history.customer_id = first_days.customer_id and first_days.order_day_number = 1
inner join days as last_days
    on
        history.customer_id = last_days.customer_id
        and history.count_order_days = last_days.order_day_number

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by history.as_of_date, substr(md5(history.customer_id), 9, 8) collate "C"
