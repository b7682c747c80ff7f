-- One row per accepted file that holds orders or their lines: its rows and its money, as sent. What
-- a file holds never changes, so each is summed once, and again where the rule of reading changed.
{%- set reading = "md5($reading$" ~ estimated_amount('quantity', 'price') ~ "$reading$)" %}
select
    file_id,
    table_name,
    count(*) as count_rows,
    coalesce(sum(abs(sent_amount)), 0) as sent_amount,
    {{ reading }} as amount_reading

from {{ ref('int_sent_rows') }}

{% if is_partial() %}
where file_id not in (select file_id from {{ this }} where amount_reading = {{ reading }})
{% endif %}

group by file_id, table_name
